/** What this node has heard of clients that are held at other nodes and that nobody has promised a slot. */
import { demandMemoryMs, demandRoutesMax } from './limits.ts';

interface Heard {
  /** Directory time. */
  readonly oldest: number;
  /** Local monotonic ms. */
  readonly until: number;
}

/** Stands for whichever node it was, when a search told. */
const SEARCH = '';

/** Times called `now` are local monotonic ms; `oldest` is an arrival in the directory's time. */
export class Demand {
  readonly #routes = new Map<string, Map<string, Heard>>();

  /** `node` has said that its oldest unpromised client of `route` arrived at `oldest`. */
  notice(route: string, node: string, oldest: number, now: number): void {
    const heard = this.#routes.get(route) ?? new Map<string, Heard>();
    heard.set(node, { oldest, until: now + demandMemoryMs });
    this.#keep(route, heard);
  }

  /** A search has seen the whole route: this is the oldest elsewhere, or (null) there is none. */
  learn(route: string, oldest: number | null, now: number): void {
    if (oldest === null) this.#routes.delete(route);
    else this.#keep(route, new Map([[SEARCH, { oldest, until: now + demandMemoryMs }]]));
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
