/** This node's knowledge of clients without a promised slot at other nodes. */
import { BoundedMap } from '../../memory/bounded-map.ts';
import type { Rank } from '../fair-order.ts';
import { DEMAND_MEMORY_MS, DEMAND_NODES_MAX, DEMAND_ROUTES_MAX } from '../limits.ts';

interface Heard {
  readonly oldest: number;
  readonly rank: Rank | null;
  readonly saidAt: number;
  /** Local monotonic ms. */
  readonly until: number;
}

/** The node is not known, because a search told. */
const SEARCH = '';

/** Times called `now` are local monotonic ms; `oldest` (an arrival) and `saidAt` (the time of that message) are the directory's. */
export class Demand {
  readonly #routes = new BoundedMap<string, BoundedMap<string, Heard>>(DEMAND_ROUTES_MAX);

  /** `node` has said that its oldest unpromised client of `route` arrived at `oldest`. */
  notice(route: string, node: string, oldest: number, saidAt: number, now: number, rank: Rank | null = null): void {
    const heard = this.#routes.get(route) ?? new BoundedMap<string, Heard>(DEMAND_NODES_MAX);
    heard.set(node, { oldest, rank, saidAt, until: now + DEMAND_MEMORY_MS });
    this.#routes.set(route, heard);
  }

  /**
   * A search has seen the whole route: this is the oldest elsewhere, or (null) there is none. Notices and answers come over different
   * connections, so later notices stay.
   */
  learn(route: string, oldest: number | null, saidAt: number, now: number, rank: Rank | null = null): void {
    const heard = this.#routes.get(route) ?? new BoundedMap<string, Heard>(DEMAND_NODES_MAX);
    for (const [node, notice] of heard) if (notice.saidAt < saidAt) heard.delete(node);
    if (oldest !== null) heard.set(SEARCH, { oldest, rank, saidAt, until: now + DEMAND_MEMORY_MS });
    else heard.delete(SEARCH);
    if (heard.size > 0) this.#routes.set(route, heard);
    else this.#routes.delete(route);
  }

  /** Forgets the route. */
  forget(route: string): void {
    this.#routes.delete(route);
  }

  /** Arrival of the oldest client that is known to wait elsewhere; null if none is. */
  oldest(route: string, now: number): number | null {
    const heard = this.#routes.get(route);
    if (heard === undefined) return null;
    let oldest: number | null = null;
    for (const [node, { oldest: arrival, until }] of heard) {
      if (until < now) heard.delete(node);
      else if (oldest === null || arrival < oldest) oldest = arrival;
    }
    if (heard.size === 0) this.#routes.delete(route);
    return oldest;
  }

  /** Whether one of those who are known to be first at other nodes goes before. */
  some(route: string, now: number, goesBefore: (oldest: number, rank: Rank) => boolean): boolean {
    for (const { oldest, rank, until } of this.#routes.get(route)?.values() ?? []) {
      if (rank !== null && until >= now && goesBefore(oldest, rank)) return true;
    }
    return false;
  }

  clear(): void {
    this.#routes.clear();
  }

  get routes(): number {
    return this.#routes.size;
  }
}
