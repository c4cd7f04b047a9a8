import { KEY_PLACE_MAX_MS, type KeyPlace, type KeyPlaces } from '../key-places.ts';

/** As the script `keys`. */
export class MemoryKeyPlaces implements KeyPlaces {
  readonly #now: () => number;
  /** Route → key → until when. */
  readonly #routes = new Map<string, Map<string, number>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Like a server that is restarted empty. */
  lose(): void {
    this.#routes.clear();
  }

  async take(route: string, key: string, most: number, forMs: number): Promise<boolean> {
    return this.#put(route, most, [{ key, forMs, atLeast: true }]);
  }

  async keep(route: string, places: readonly KeyPlace[]): Promise<void> {
    this.#put(route, Number.POSITIVE_INFINITY, places);
  }

  #put(route: string, most: number, places: readonly KeyPlace[]): boolean {
    const now = this.#now();
    this.#lapse(now);
    const taken = this.#routes.get(route) ?? new Map<string, number>();
    this.#routes.set(route, taken);
    let isFull = false;
    for (const { key, forMs, atLeast } of places) {
      const before = taken.get(key);
      const until = now + Math.min(forMs, KEY_PLACE_MAX_MS);
      if (before === undefined && taken.size >= most) isFull = true;
      else if (before === undefined || !atLeast || before < until) taken.set(key, until);
    }
    return !isFull;
  }

  #lapse(now: number): void {
    for (const [route, taken] of this.#routes) {
      for (const [key, until] of taken) if (until <= now) taken.delete(key);
      if (taken.size === 0) this.#routes.delete(route);
    }
  }
}
