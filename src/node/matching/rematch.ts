import { guard } from '../../boundary.ts';

/** A moment sooner is not worth a new timer. */
const SOONER_MS_MIN = 1;

/** One timer for all that a route's held clients may wait for beside a slot: then the route is matched again. */
export class Rematch {
  readonly #match: () => void;
  #timer: NodeJS.Timeout | null = null;
  #at = Number.POSITIVE_INFINITY;

  constructor(match: () => void) {
    this.#match = match;
  }

  /** After `delayMs`, or sooner if that was asked for. `now`: performance.now() in ms. */
  within(delayMs: number, now: number): void {
    const at = now + delayMs;
    if (at > this.#at - SOONER_MS_MIN) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#at = at;
    this.#timer = setTimeout(this.#due, Math.ceil(delayMs));
  }

  readonly #due = guard('timer', (): void => {
    this.#timer = null;
    this.#at = Number.POSITIVE_INFINITY;
    this.#match();
  });
}
