/** When the clients held at a route are looked for again, whether or not anybody rang. */
import { guard } from '../../boundary.ts';
import { sweepMaxMs, sweepMinMs } from '../limits.ts';

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

  /** Looks again after a random time, unless a look is due already. Random, lest all nodes look at once. */
  arm(): void {
    if (this.#timer === null) this.within(sweepMinMs + Math.random() * (sweepMaxMs - sweepMinMs));
  }

  /** Looks again after `delayMs` at the latest. */
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
