/** The last hour of a route, or of all routes, as charts draw it. */
import { CLASSES, HISTORY_BUCKET_MS, type HistoryNumbers, type HistoryRead } from '../cluster/history.ts';
import type { AdminSource } from './admin-source.ts';
import { countOf, quantileMs } from './waits.ts';

export interface HistoryPoint {
  /** The beginning of the bucket, ms since the epoch. */
  readonly at: number;
  /** So much of the bucket is counted. */
  readonly ms: number;
  readonly perSecond: number;
  /** Class, such as `2xx` → responses. */
  readonly responses: Readonly<Record<string, number>>;
  /** From the request to the end of its response. Null: there were none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Clients that were held at the same time, at most. */
  readonly held: number;
  readonly holds: number;
  readonly holdP50Ms: number | null;
  readonly holdP99Ms: number | null;
  readonly active: number;
  readonly slots: number;
  readonly coldStarts: number;
  readonly coldStartP50Ms: number | null;
  readonly coldStartP99Ms: number | null;
}

export interface History {
  /** Null: all routes. */
  readonly route: string | null;
  readonly bucketMs: number;
  /** By the clock of the directory, as the times of the points. */
  readonly now: number;
  readonly points: readonly HistoryPoint[];
}

/** The running bucket grows every ten seconds. However many ask, a route is read once in this time. */
const KEPT_MS = 2_000;
const ROUTES_KEPT_MAX = 100;
/** Between two bounds of its histogram, at most. */
const REQUEST_STEP_MAX = 2;

export class HistoryReader {
  readonly #source: Pick<AdminSource, 'history'>;
  readonly #kept = new Map<string | null, { readonly at: number; readonly history: Promise<History> }>();

  constructor(source: Pick<AdminSource, 'history'>) {
    this.#source = source;
  }

  read(route: string | null): Promise<History> {
    const now = performance.now();
    const kept = this.#kept.get(route);
    if (kept !== undefined && now - kept.at < KEPT_MS) return kept.history;
    const history = this.#source.history(route).then((read) => historyOf(route, read));
    this.#kept.delete(route);
    this.#kept.set(route, { at: now, history });
    if (this.#kept.size > ROUTES_KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value ?? null);
    return history;
  }
}

export function historyOf(route: string | null, { now, buckets }: HistoryRead): History {
  return {
    route,
    bucketMs: HISTORY_BUCKET_MS,
    now: Math.floor(now),
    points: buckets.map(({ bucket, numbers }) => pointOf(bucket * HISTORY_BUCKET_MS, numbers)),
  };
}

function pointOf(at: number, { ms, classes, requests, holds, coldStarts, held, active, slots }: HistoryNumbers): HistoryPoint {
  const responses = Array.from({ length: CLASSES }, (_, i): [string, number] => [`${i + 1}xx`, classes[i] ?? 0]);
  const all = responses.reduce((sum, [, count]) => sum + count, 0);
  return {
    at,
    ms,
    perSecond: ms === 0 ? 0 : Math.round((100_000 * all) / ms) / 100,
    responses: Object.fromEntries(responses),
    p50Ms: quantileMs(requests, 0.5, REQUEST_STEP_MAX),
    p99Ms: quantileMs(requests, 0.99, REQUEST_STEP_MAX),
    held,
    holds: countOf(holds),
    holdP50Ms: quantileMs(holds, 0.5),
    holdP99Ms: quantileMs(holds, 0.99),
    active,
    slots,
    coldStarts: countOf(coldStarts),
    coldStartP50Ms: quantileMs(coldStarts, 0.5),
    coldStartP99Ms: quantileMs(coldStarts, 0.99),
  };
}
