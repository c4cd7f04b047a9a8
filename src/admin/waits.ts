/** How long clients waited lately, in the whole cluster: the difference between the counts of nodes then and now. */
import type { NodeSnapshot, WaitCounts } from '../cluster/cluster.ts';

/** Waits of clients that got a slot within `withinMs`. */
export interface WaitsLately {
  readonly withinMs: number;
  readonly count: number;
  /** The median, approximately; null when there were none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface Waits {
  /** All clients that were held. */
  readonly holds: WaitsLately;
  /** Those among them that came while no instance was ready. They are few, so they are counted for longer. */
  readonly coldStarts: WaitsLately;
}

const HOLDS_WITHIN_MS = 10_000;
const COLD_STARTS_WITHIN_MS = 60_000;

type Kind = 'holds' | 'coldStarts';
const KINDS = ['holds', 'coldStarts'] as const;

export class WaitWindow {
  #last = new Map<string, Pick<NodeSnapshot, Kind>>();
  #ended: { readonly at: number; readonly holds: WaitCounts; readonly coldStarts: WaitCounts }[] = [];

  /** `at`: ms of a monotonic clock. */
  add(nodes: readonly NodeSnapshot[], at: number): Waits {
    const increase = { holds: {} as Record<string, number>, coldStarts: {} as Record<string, number> };
    for (const node of nodes) {
      // Counts from before a node was first seen are not recent.
      const before = this.#last.get(node.id) ?? node;
      for (const kind of KINDS) {
        for (const [bound, count] of Object.entries(node[kind])) {
          // Less than before: the node was restarted.
          const more = count - (before[kind][bound] ?? 0);
          if (more > 0) increase[kind][bound] = (increase[kind][bound] ?? 0) + more;
        }
      }
    }
    this.#last = new Map(nodes.map((node) => [node.id, node]));
    this.#ended = [...this.#ended.filter((one) => one.at > at - COLD_STARTS_WITHIN_MS), { at, ...increase }];
    return { holds: this.#lately('holds', at, HOLDS_WITHIN_MS), coldStarts: this.#lately('coldStarts', at, COLD_STARTS_WITHIN_MS) };
  }

  #lately(kind: Kind, now: number, withinMs: number): WaitsLately {
    const sums: Record<string, number> = {};
    for (const one of this.#ended) {
      if (one.at <= now - withinMs) continue;
      for (const [bound, count] of Object.entries(one[kind])) sums[bound] = (sums[bound] ?? 0) + count;
    }
    return { withinMs, count: countOf(sums), p50Ms: quantileMs(sums, 0.5), p99Ms: quantileMs(sums, 0.99) };
  }
}

/** Nodes leave out empty buckets. The upper bound of a bucket is at most this many times its lower bound. */
const STEP_MAX = 2.5;
/** Longer waits are not distinguished. */
const LONGEST_MS = 60_000;

export function countOf(counts: WaitCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Estimates like Prometheus: observations are spread evenly inside a bucket. Null: there are none. `stepMax`: between two bounds. */
export function quantileMs(counts: WaitCounts, share: number, stepMax = STEP_MAX): number | null {
  const buckets = Object.entries(counts)
    .map(([bound, own]): [number, number] => [bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), own])
    .filter(([bound, own]) => !Number.isNaN(bound) && own > 0)
    .sort(([a], [b]) => a - b);
  const count = buckets.reduce((sum, [, own]) => sum + own, 0);
  let below = 0;
  let before = 0;
  for (const [bound, own] of buckets) {
    if (below + own >= share * count) {
      if (!Number.isFinite(bound)) return LONGEST_MS;
      const from = Math.max(before, bound / stepMax);
      return Math.round((from + ((bound - from) * (share * count - below)) / own) * 10_000) / 10;
    }
    below += own;
    before = bound;
  }
  return null;
}
