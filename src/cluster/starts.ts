/** Starts of instances as the directory knows them: what is to be decided, what was begun, and what came of it. */

/** What a decision to start instances needs to know of a route: one consistent picture. Ages and waits in ms. */
export interface StartPlan {
  /** Clients held in the whole cluster, promised ones included. */
  readonly held: number;
  /** Of these, the clients for whom a slot is on its way; that slot is no longer counted in `free`. */
  readonly promised: number;
  /** Sum of the concurrency of ready instances. */
  readonly slots: number;
  /** Idle slots that nobody is promised, over all nodes. */
  readonly free: number;
  /** Clients that are being served, as the nodes said last; null when they don't say it. */
  readonly serving: number | null;
  /** Ready instances: linked to a living node, not draining. */
  readonly ready: number;
  /** Linked ones whose applications take nothing now: they are no capacity, and count as instances. */
  readonly paused: number;
  /** Starts that are under way: begun and neither linked nor given up, or linked and not ready yet. */
  readonly starting: number;
  /** What an instance of this route last said it serves at once; null when none has ever said it. */
  readonly concurrency: number | null;
  /** Starts ever begun: whoever decides compares it, so that no two decisions are made on the same picture. */
  readonly begun: number;
  /** Since the last one was begun; null when none was within the last minute. */
  readonly lastBegunMs: number | null;
  /** Begun within the last minute, and the age of the oldest of these. */
  readonly begunInMinute: number;
  readonly oldestBegunMs: number | null;
  /** Instances that somebody asked for beyond what clients need, and that nobody has begun. */
  readonly wanted: number;
  /** Of `ready`, those that a restart replaces. */
  readonly old: number;
  readonly trouble: StartTrouble | null;
}

/** Starts fail: the last ones did, one after the other. */
export interface StartTrouble {
  /** Failures since an instance last became ready. */
  readonly failures: number;
  /** Why the last one failed; at most `reasonLettersMax` letters. */
  readonly reason: string;
  /** Since then. */
  readonly ageMs: number;
  /** Until the next start is tried; 0: now. Only after `failuresMax` failures it is more. */
  readonly retryInMs: number;
}

/** What else is kept of starts that are begun together. */
export interface StartFacts {
  /** So many of them were asked for beyond what clients need. */
  readonly wanted?: number;
  /** Since the job that begins them was taken. */
  readonly jobAgeMs?: number;
}

/** Why a start ended before its instance was ready. */
export interface StartFailure {
  readonly reason: string;
  /** It was asked for beyond what clients need: it is wanted again. */
  readonly wantedAgain: boolean;
}

/** When a start was begun. */
export interface StartTimes {
  /** Since its job was taken. */
  readonly jobAgeMs: number;
  /** Since its command was run. */
  readonly commandAgeMs: number;
}
