/** What this node has heard of clients that are held at other nodes and that nobody has promised a slot. */
import { demandMemoryMs, demandNodesMax, demandRoutesMax } from '../limits.ts';

interface Heard {
  readonly oldest: number;
  readonly saidAt: number;
  /** Local monotonic ms. */
  readonly until: number;
}

/** Stands for whichever node it was, when a search told. */
const SEARCH = '';

/** Times called `now` are local monotonic ms; `oldest` (an arrival) and `saidAt` (when that was so) are the directory's. */
export class Demand {
  readonly #routes = new Map<string, Map<string, Heard>>();

  /** `node` has said that its oldest unpromised client of `route` arrived at `oldest`. */
  notice(route: string, node: string, oldest: number, saidAt: number, now: number): void {
    const heard = this.#routes.get(route) ?? new Map<string, Heard>();
    heard.set(node, { oldest, saidAt, until: now + demandMemoryMs });
    for (const eldest of heard.keys()) {
      if (heard.size <= demandNodesMax) break;
      heard.delete(eldest);
    }
    this.#keep(route, heard);
  }

  /**
   * A search has seen the whole route: this is the oldest elsewhere, or (null) there is none. Notices and answers come over different
   * connections, so what was said after the search stays.
   */
  learn(route: string, oldest: number | null, saidAt: number, now: number): void {
    const heard = this.#routes.get(route) ?? new Map<string, Heard>();
    for (const [node, notice] of heard) if (notice.saidAt < saidAt) heard.delete(node);
    if (oldest !== null) heard.set(SEARCH, { oldest, saidAt, until: now + demandMemoryMs });
    else heard.delete(SEARCH);
    if (heard.size > 0) this.#keep(route, heard);
    else this.#routes.delete(route);
  }

  /** Nothing is known of the route any more. */
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

  clear(): void {
    this.#routes.clear();
  }

  get routes(): number {
    return this.#routes.size;
  }

  /** The route last heard of is the last one forgotten. */
  #keep(route: string, heard: Map<string, Heard>): void {
    this.#routes.delete(route);
    this.#routes.set(route, heard);
    for (const eldest of this.#routes.keys()) {
      if (this.#routes.size <= demandRoutesMax) break;
      this.#routes.delete(eldest);
    }
  }
}
