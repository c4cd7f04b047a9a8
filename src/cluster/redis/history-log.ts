/** The history in Redis: a hash for each bucket of time, all in one hash slot. A field is a route, its value one line for each node. */
import type { WaitCounts } from '../cluster.ts';
import {
  bucketAt,
  CLASSES,
  HISTORY_BUCKET_MS,
  HISTORY_BUCKETS_MAX,
  HISTORY_PER_CALL_MAX,
  type HistoryLog,
  type HistoryNumbers,
  type HistoryRead,
  type RouteHistory,
  sumHistory,
} from '../history.ts';
import { countOf, objectOf } from '../values.ts';
import type { RedisConnection } from './connection.ts';
import { historyKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { list, readWaits } from './replies.ts';
import { readTime } from './server-facts.ts';

/** No route has this name. */
const ALL = '(all)';
const NUMBERS_CHARS_MAX = 4_096;

export class RedisHistoryLog implements HistoryLog {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;

  constructor(redis: RedisConnection, mending: Mending) {
    this.#redis = redis;
    this.#mending = mending;
  }

  async write(node: string, bucket: number, counted: readonly RouteHistory[]): Promise<void> {
    const key = historyKey(bucket);
    for (let at = 0; at < counted.length; at += HISTORY_PER_CALL_MAX) {
      const fields = counted.slice(at, at + HISTORY_PER_CALL_MAX).flatMap(({ route, numbers }) => [route ?? ALL, written(numbers)]);
      const args = [node, HISTORY_BUCKET_MS * (HISTORY_BUCKETS_MAX + 1), ...fields];
      await this.#mending.ofKey(key, 'hash', () => this.#redis.run('history', [key], args));
    }
  }

  async read(route: string | null): Promise<HistoryRead> {
    const now = readTime(await this.#redis.call('time'));
    const first = bucketAt(now) - HISTORY_BUCKETS_MAX + 1;
    const keys = Array.from({ length: HISTORY_BUCKETS_MAX }, (_, i) => historyKey(first + i));
    const values = list(await this.#redis.run('historyRead', keys, [route ?? ALL]));
    const buckets = values.flatMap((value, i) => {
      const numbers = String(value)
        .split('\n')
        .flatMap((line) => readNumbers(line.slice(line.indexOf(' ') + 1)));
      return numbers.length === 0 ? [] : [{ bucket: first + i, numbers: sumHistory(numbers) }];
    });
    return { now, buckets };
  }
}

/** Short names: thousands of these lie in Redis. Empty parts are left out. */
function written({ ms, classes, requests, holds, coldStarts, held, active, slots }: HistoryNumbers): string {
  const some = (counts: WaitCounts): WaitCounts | undefined => (Object.keys(counts).length === 0 ? undefined : counts);
  return JSON.stringify({ ms, c: classes, r: some(requests), h: some(holds), k: some(coldStarts), g: [held, active, slots] });
}

/** Nothing when it can't be read. */
function readNumbers(json: string): HistoryNumbers[] {
  const said = json.length > NUMBERS_CHARS_MAX ? null : objectOf(json);
  const ms = countOf(said?.ms, HISTORY_BUCKET_MS);
  if (said === null || ms === null) return [];
  const classes = list(said.c).map((count) => countOf(count) ?? 0);
  const [held = 0, active = 0, slots = 0] = list(said.g).map(gaugeOf);
  const counts = { requests: readWaits(said.r), holds: readWaits(said.h), coldStarts: readWaits(said.k) };
  return [{ ms, classes: Array.from({ length: CLASSES }, (_, i) => classes[i] ?? 0), ...counts, held, active, slots }];
}

/** An average has a fraction. */
function gaugeOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 && value <= 1e9 ? value : 0;
}
