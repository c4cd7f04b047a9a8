/** When to search again for the clients held at a route, in case a message was lost. */
import { guard } from '../../boundary.ts';
import { SWEEP_MAX_MS, SWEEP_MIN_MS } from '../limits.ts';

export class Sweep {
  readonly #look: () => void;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  readonly #due = guard('timer', () => {
    this.stop();
    this.#look();
  });
  #dueAt = Number.POSITIVE_INFINITY;

  /** `now`: local monotonic ms. */
  constructor(look: () => void, now: () => number) {
    this.#look = look;
    this.#now = now;
  }

  /** Searches again after a random time, unless a search is due already. Random, so that nodes do not search all at once. */
  arm(): void {
    if (this.#timer === null) this.within(SWEEP_MIN_MS + Math.random() * (SWEEP_MAX_MS - SWEEP_MIN_MS));
  }

  /** Searches again after `delayMs` at the latest. */
  within(delayMs: number): void {
    const at = this.#now() + delayMs;
    if (at >= this.#dueAt) return;
    this.stop();
    this.#dueAt = at;
    this.#timer = setTimeout(this.#due, delayMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }
}
