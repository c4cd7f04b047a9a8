/** Starts of instances in the directory: the facts for a decision, the starts, and their results. */

/** The facts of a route for a decision to start instances, of one moment. Ages and waits in ms. */
export interface StartPlan {
  /** Clients held in the whole cluster, promised ones included. */
  readonly held: number;
  /** Those of them with a slot on its way; that slot is not counted in `free`. */
  readonly promised: number;
  /** What held clients cost beyond one slot each, and those beyond `held - promised` that are still to come; absent: nothing. */
  readonly heldExtra?: number;
  readonly wantedExtra?: number;
  /** Sum of the concurrency of ready instances. */
  readonly slots: number;
  /** Idle slots without a promise, over all nodes. */
  readonly free: number;
  /** Clients that are being served, by the last word of the nodes; null when they don't say it. */
  readonly serving: number | null;
  /** Ready instances: linked to a living node, not draining. */
  readonly ready: number;
  /** Linked ones whose applications take nothing now: they are no capacity, and count as instances. */
  readonly paused: number;
  /** Linked ones that were told to leave, or leave: they may still be in use. */
  readonly leaving: number;
  /** Starts in progress: begun and neither linked nor failed, or linked and not ready yet. */
  readonly starting: number;
  /** The concurrency of the route's last linked instance; null when none has ever linked. */
  readonly concurrency: number | null;
  /** Starts ever begun. A decision compares it, so that two decisions are never based on the same facts. */
  readonly begun: number;
  /** Since the last one was begun; null when none was within the last minute. */
  readonly lastBegunMs: number | null;
  /** Begun within the last minute, and the age of the oldest of these. */
  readonly begunInMinute: number;
  readonly oldestBegunMs: number | null;
  /** Wanted instances beyond the need of clients that have not begun. */
  readonly wanted: number;
  /** The ready instances that a restart replaces. */
  readonly old: number;
  readonly trouble: StartTrouble | null;
  /** How long the route stays paused: nothing is started meanwhile. Absent: it is not paused. */
  readonly pausedMs?: number;
}

/** The last starts failed, one after the other. */
export interface StartTrouble {
  /** Failures since an instance last became ready. */
  readonly failures: number;
  /** Why the last one failed; at most `reasonCharsMax` characters. */
  readonly reason: string;
  /** Time since the last failure. */
  readonly ageMs: number;
  /** Until the next start is tried; 0: now. Only after `failuresMax` failures it is more. */
  readonly retryInMs: number;
}

/** More facts of starts that begin together. */
export interface StartFacts {
  /** How many of them were wanted beyond the need of clients. */
  readonly wanted?: number;
  /** Since the job that begins them was taken. */
  readonly jobAgeMs?: number;
}

/** Why a start ended before its instance was ready. */
export interface StartFailure {
  readonly reason: string;
  /** It was wanted beyond the need of clients: it is wanted again. */
  readonly wantedAgain: boolean;
}

/** How a start ended. `turned_away`: its instance came when no place was left; it had been given up before. */
export type StartOutcome = 'linked' | 'command_failed' | 'ended_early' | 'not_linked' | 'turned_away';

/** The end of a start, or (`lost`) of an instance that nobody has heard of for a while. */
export interface EndedStart {
  readonly startId: string;
  readonly how: StartOutcome | 'lost';
}

/** When a start was begun. */
export interface StartTimes {
  /** Since its job was taken. */
  readonly jobAgeMs: number;
  /** Since its command was run. */
  readonly commandAgeMs: number;
}
