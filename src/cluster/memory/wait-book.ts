/** What is known of a route's waits in memory: as the script `_waits`. */
import { type Measured, START_TIMES_MAX, TOOK_HALF_MS } from '../waits.ts';

export class WaitBook {
  #requests = 0;
  #ms = 0;
  #at = 0;
  /** Start id → how long it took, the last ones. */
  readonly #starts = new Map<string, number>();

  took(now: number, { requests, ms }: Measured): void {
    if (requests === 0) return;
    const share = this.#at > now ? 0 : 2 ** ((this.#at - now) / TOOK_HALF_MS);
    this.#requests = this.#requests * share + requests;
    this.#ms = this.#ms * share + ms;
    this.#at = now;
  }

  started(startId: string, ms: number): void {
    if (this.#starts.has(startId)) return;
    this.#starts.set(startId, ms);
    for (const id of this.#starts.keys()) {
      if (this.#starts.size <= START_TIMES_MAX) break;
      this.#starts.delete(id);
    }
  }

  get slotMs(): number | null {
    return this.#requests > 0 ? this.#ms / this.#requests : null;
  }

  get startMs(): number | null {
    const sorted = [...this.#starts.values()].sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
  }
}
