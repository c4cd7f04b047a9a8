/**
 * The last hour, for charts. Nodes count at their routes within buckets of time, and write the running bucket to the directory
 * every few seconds, so a node that dies leaves what it has counted. Times are the directory's.
 */

/** How long clients waited, or requests took: upper bound in seconds (`+Inf` the last) → how many. Empty buckets may be left out. */
export type WaitCounts = Readonly<Record<string, number>>;

export const HISTORY_BUCKET_MS = 30_000;
/** A little more than an hour. */
export const HISTORY_BUCKETS_MAX = 125;
/** The running bucket is written this often, and once more when it is over. */
export const HISTORY_WRITE_MS = 10_000;
/** Routes of one node in one bucket: the busiest ones. The sum over all routes is always there. */
export const HISTORY_ROUTES_MAX = 500;
/** Routes in one bucket, over all nodes. */
export const HISTORY_FIELDS_MAX = 5_000;
/** The counts of all nodes at one route in one bucket. */
export const HISTORY_FIELD_CHARS_MAX = 65_536;
/** Routes in one call of the directory. */
export const HISTORY_PER_CALL_MAX = 100;

/** The counts of one bucket, at one route or at all of them, at one node or at all of them. */
export interface HistoryNumbers {
  /** So much of the bucket is counted. The longest, where several nodes are summed up. */
  readonly ms: number;
  /** Responses by class: 1xx (101: a tunnel begins), 2xx, 3xx, 4xx, 5xx. */
  readonly classes: readonly number[];
  /** How long requests took until their response was complete: upper bound in seconds → how many. */
  readonly requests: WaitCounts;
  /** How long clients were held, and those among them that came while no instance was ready. */
  readonly holds: WaitCounts;
  readonly coldStarts: WaitCounts;
  /** Clients that were held at the same time, at most. Several nodes are added up. */
  readonly held: number;
  /** Requests in progress, on average. */
  readonly active: number;
  /** Slots that were lent to the node, at the end. */
  readonly slots: number;
}

export interface RouteHistory {
  /** Null: the sum over all routes, and responses without a route. */
  readonly route: string | null;
  readonly numbers: HistoryNumbers;
}

export interface HistoryRead {
  /** The directory's time. */
  readonly now: number;
  /** Buckets in which something was counted, over all nodes, oldest first. `bucket`: its beginning is this number times HISTORY_BUCKET_MS. */
  readonly buckets: readonly { readonly bucket: number; readonly numbers: HistoryNumbers }[];
}

export interface HistoryLog {
  /** Writes what the node has counted in the bucket so far. It replaces what the node wrote there before. */
  write(node: string, bucket: number, counted: readonly RouteHistory[]): Promise<void>;
  /** Null: all routes. */
  read(route: string | null): Promise<HistoryRead>;
}

/** Classes of HTTP's status codes. */
export const CLASSES = 5;

export function sumHistory(all: readonly HistoryNumbers[]): HistoryNumbers {
  const sum = (read: (one: HistoryNumbers) => number): number => all.reduce((total, one) => total + read(one), 0);
  return {
    ms: Math.max(0, ...all.map(({ ms }) => ms)),
    classes: Array.from({ length: CLASSES }, (_, i) => sum(({ classes }) => classes[i] ?? 0)),
    requests: sumCounts(all.map(({ requests }) => requests)),
    holds: sumCounts(all.map(({ holds }) => holds)),
    coldStarts: sumCounts(all.map(({ coldStarts }) => coldStarts)),
    held: sum(({ held }) => held),
    active: sum(({ active }) => active),
    slots: sum(({ slots }) => slots),
  };
}

function sumCounts(all: readonly WaitCounts[]): WaitCounts {
  const sums: Record<string, number> = {};
  for (const [bound, count] of all.flatMap((one) => Object.entries(one))) sums[bound] = (sums[bound] ?? 0) + count;
  return sums;
}

/** The bucket in which the directory's time `now` lies. */
export function bucketAt(now: number): number {
  return Math.floor(now / HISTORY_BUCKET_MS);
}
