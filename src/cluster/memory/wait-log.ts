import type { RouteSupply } from '../wait-estimate.ts';
import { CLAIMS_MAX, type Measured, type WaitLog } from '../waits.ts';

/** What a route's state in memory does for it. */
interface WaitState {
  waits(now: number, measured: Measured): RouteSupply;
  started(startId: string, ms: number): void;
}

/** The waits of a single process. */
export class MemoryWaitLog implements WaitLog {
  readonly #now: () => number;
  readonly #at: (route: string) => WaitState;
  /** Route and place → until when it is taken, the one that was taken first in front. */
  readonly #claims = new Map<string, number>();

  constructor(now: () => number, at: (route: string) => WaitState) {
    this.#now = now;
    this.#at = at;
  }

  async exchange(route: string, measured: Measured): Promise<RouteSupply> {
    return this.#at(route).waits(this.#now(), measured);
  }

  async started(route: string, startId: string, ms: number): Promise<void> {
    this.#at(route).started(startId, ms);
  }

  async claim(route: string, place: string, forMs: number): Promise<boolean> {
    const now = this.#now();
    for (const [key, until] of this.#claims) {
      if (until > now) break;
      this.#claims.delete(key);
    }
    const key = `${route} ${place}`;
    if ((this.#claims.get(key) ?? 0) > now || this.#claims.size >= CLAIMS_MAX) return false;
    this.#claims.delete(key);
    this.#claims.set(key, now + forMs);
    return true;
  }

  async unclaim(route: string, place: string): Promise<void> {
    this.#claims.delete(`${route} ${place}`);
  }
}
