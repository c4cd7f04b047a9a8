/** The nodes that have something at a route, and when they said so last: as `nodes` and `peers` in Redis. */
import type { Peer } from '../cluster.ts';
import { DEAD_AFTER_MS, REST_DEAD_AFTER_MS } from '../limits.ts';

interface Present {
  readonly address: string;
  readonly beatAt: number;
  /** It sends the next beat much later. */
  readonly rests: boolean;
}

export class RouteNodes {
  readonly #nodes = new Map<string, Present>();
  #silentSince = 0;
  #sparedUntil = 0;

  get size(): number {
    return this.#nodes.size;
  }

  has(node: string): boolean {
    return this.#nodes.has(node);
  }

  addressOf(node: string): string {
    return this.#nodes.get(node)?.address ?? '';
  }

  /** The node lives and is at this route. Returns whether that was known. */
  touch(now: number, { id, address }: Peer, rests: boolean): boolean {
    const known = this.#nodes.has(id);
    this.#nodes.set(id, { address, beatAt: now, rests });
    return known;
  }

  delete(node: string): boolean {
    return this.#nodes.delete(node);
  }

  /** Whether it was heard here a moment ago. */
  isHeard(now: number, node: string): boolean {
    return (this.#nodes.get(node)?.beatAt ?? 0) > now - DEAD_AFTER_MS;
  }

  dead(now: number): string[] {
    const isDead = ({ beatAt, rests }: Present): boolean => beatAt <= now - (rests ? REST_DEAD_AFTER_MS : DEAD_AFTER_MS);
    return [...this.#nodes].filter(([, present]) => isDead(present)).map(([node]) => node);
  }

  /** As in the script `_route`: whether dead ones are spared, since nobody was heard. `isNew`: for the first time. */
  stoodStill(now: number): { readonly isSpared: boolean; readonly isNew: boolean } {
    const last = Math.max(...[...this.#nodes.values()].map(({ beatAt }) => beatAt));
    const isNew = last <= now - DEAD_AFTER_MS && this.#silentSince !== last;
    if (isNew) {
      this.#silentSince = last;
      this.#sparedUntil = now + DEAD_AFTER_MS;
    }
    return { isSpared: now < this.#sparedUntil, isNew };
  }
}
