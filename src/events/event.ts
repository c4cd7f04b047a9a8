/** An event of the cluster: one line of its event log. */

export type EventLevel = 'error' | 'warning' | 'note';

/** The part of an event that a process tells. Names of nodes and routes are checked where they are read. */
export interface NewEvent {
  /** Stable, for scripts. */
  readonly code: string;
  readonly level: EventLevel;
  /** The process that tells it: a node's id, or the host of a scaler. */
  readonly source: string;
  readonly node: string | null;
  readonly route: string | null;
  /** One sentence. */
  readonly text: string;
  /** How often it happened since it was told last. */
  readonly count: number;
  /** How long ago it happened when it was told: the directory was away. */
  readonly lateMs: number;
}

export interface ClusterEvent extends Omit<NewEvent, 'lateMs'> {
  /** Later events have larger ids: `MS-NUMBER`. */
  readonly id: string;
  /** ms since the epoch, by the directory's clock. */
  readonly at: number;
}

/** The event log of the cluster: the last ones, bounded. */
export interface EventLog {
  append(events: readonly NewEvent[]): Promise<void>;
  /** Those after the id (null: from the oldest one on), oldest first, at most `max`, and the directory's time. */
  since(id: string | null, max: number): Promise<{ readonly events: readonly ClusterEvent[]; readonly now: number }>;
}

/** Events that the cluster remembers. */
export const EVENTS_MAX = 5_000;
export const EVENT_TEXT_CHARS_MAX = 400;

const ID = /^\d{1,16}-\d{1,20}$/;

export function isEventId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value);
}
