/**
 * The least rate of a body. nginx and HAProxy only limit silence, and a byte now and then holds a slot for ever. Apache (mod_reqtimeout) and
 * Kestrel let a body take a grace, and more time for each byte that comes. So do we, with a limit on the time that can be saved up: a
 * client that was fast for a moment must not be slow for an hour.
 */

import type { ClientLimits } from '../../config/listener-settings.ts';

/** `bodyRateMin` bytes a second, 0: only silence is limited; counted after `bodyGraceMs`. A client may save up, and be silent for, `stallTimeoutMs`. */
export type BodyRate = Pick<ClientLimits, 'bodyRateMin' | 'bodyGraceMs' | 'stallTimeoutMs'>;

/** How soon a client is to be looked at again that sends a body. */
export function firstLookMs({ bodyRateMin, bodyGraceMs, stallTimeoutMs }: BodyRate): number {
  return bodyRateMin === 0 ? stallTimeoutMs : Math.min(bodyGraceMs, stallTimeoutMs);
}

/** How much time a client has left for the next bytes of its body. Time counts while they are awaited: not while the client is not read. */
export class RequestPace {
  readonly #rate: BodyRate;
  #leftMs: number;
  /** Null: not awaited. */
  #awaitedSince: number | null;

  /** `mayWait`: the client may wait for a 100 (Continue), and that is the application's to say: it gets the time of a silence. */
  constructor(rate: BodyRate, now: number, mayWait: boolean) {
    this.#rate = rate;
    this.#leftMs = mayWait ? rate.stallTimeoutMs : firstLookMs(rate);
    this.#awaitedSince = now;
  }

  got(bytes: number, now: number): void {
    const { bodyRateMin, stallTimeoutMs } = this.#rate;
    const earnedMs = bodyRateMin === 0 ? stallTimeoutMs : (bytes * 1_000) / bodyRateMin;
    this.#leftMs = Math.min(stallTimeoutMs, this.leftMs(now) + earnedMs);
    if (this.#awaitedSince !== null) this.#awaitedSince = now;
  }

  /** The client is not read: the application is slower than it is. */
  pause(now: number): void {
    this.#leftMs = this.leftMs(now);
    this.#awaitedSince = null;
  }

  resume(now: number): void {
    this.#awaitedSince ??= now;
  }

  /** None left: it is too slow. */
  leftMs(now: number): number {
    return this.#awaitedSince === null ? this.#leftMs : this.#leftMs - (now - this.#awaitedSince);
  }
}

/**
 * How fast a client takes what lies ready for it. A kernel reports room in large steps, so this looks at whole stall timeouts, of which the
 * first is the grace. Time counts only while something waits for the client all the time: an application that is slow is not its fault.
 */
export class ReadingPace {
  readonly #rate: BodyRate;
  /** Null: nothing waits for it. */
  #waitsSince: number | null = null;
  #takenBefore = 0;

  constructor(rate: BodyRate) {
    this.#rate = rate;
  }

  /** It takes no more; so many bytes it has taken up to now. */
  full(now: number, taken: number): void {
    if (this.#waitsSince !== null) return;
    this.#waitsSince = now;
    this.#takenBefore = taken;
  }

  /** It has taken everything. */
  drained(): void {
    this.#waitsSince = null;
  }

  /** How long until it must have taken more; 0: it is too slow. */
  leftMs(now: number, taken: number): number {
    const { bodyRateMin, stallTimeoutMs } = this.#rate;
    if (this.#waitsSince === null) return stallTimeoutMs;
    const passedMs = now - this.#waitsSince;
    if (passedMs < stallTimeoutMs) return stallTimeoutMs - passedMs;
    const bytes = taken - this.#takenBefore;
    if (bytes === 0 || bytes < (bodyRateMin * passedMs) / 1_000) return 0;
    this.#waitsSince = now;
    this.#takenBefore = taken;
    return stallTimeoutMs;
  }
}
