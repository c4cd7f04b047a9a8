import {
  bucketAt,
  HISTORY_BUCKETS_MAX,
  HISTORY_FIELDS_MAX,
  type HistoryLog,
  type HistoryNumbers,
  type HistoryRead,
  type RouteHistory,
  sumHistory,
} from '../history.ts';

/** The history of a single process. */
export class MemoryHistoryLog implements HistoryLog {
  readonly #now: () => number;
  /** Bucket → route (null: all) → node → what it counted. */
  readonly #buckets = new Map<number, Map<string | null, Map<string, HistoryNumbers>>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  async write(node: string, bucket: number, counted: readonly RouteHistory[]): Promise<void> {
    const routes = this.#buckets.get(bucket) ?? new Map<string | null, Map<string, HistoryNumbers>>();
    this.#buckets.set(bucket, routes);
    for (const { route, numbers } of counted) {
      const nodes = routes.get(route) ?? new Map<string, HistoryNumbers>();
      if (!routes.has(route) && routes.size >= HISTORY_FIELDS_MAX) continue;
      routes.set(route, nodes.set(node, numbers));
    }
    const oldest = bucketAt(this.#now()) - HISTORY_BUCKETS_MAX;
    for (const one of this.#buckets.keys()) if (one <= oldest) this.#buckets.delete(one);
  }

  async read(route: string | null): Promise<HistoryRead> {
    const now = this.#now();
    const last = bucketAt(now);
    const buckets = [...this.#buckets]
      .filter(([bucket]) => bucket > last - HISTORY_BUCKETS_MAX && bucket <= last)
      .sort(([a], [b]) => a - b)
      .flatMap(([bucket, routes]) => {
        const nodes = routes.get(route);
        return nodes === undefined ? [] : [{ bucket, numbers: sumHistory([...nodes.values()]) }];
      });
    return { now, buckets };
  }
}
