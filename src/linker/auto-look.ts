/**
 * How many responses an application gives in a second, as far as one look at it tells, and how sure that is. All times are ms, and arguments.
 *
 * The error follows from how much the counts of neighbouring parts of looks differ (index of dispersion: variance / mean). For one thread that
 * takes the same time for each request that is 0, for a Poisson process 1. It is learnt from all looks, since one has too few parts to tell.
 */

/** The first guess, and how many pairs of parts it counts for. */
const DISPERSION_FIRST = 0.25;
const PAIRS_FIRST = 8;
/** Older ones fade. */
const PAIRS_MAX = 60;
const DISPERSION_MOST = 2;
/** A part has a few responses, and takes longer than one of them. */
const PART_MS_MIN = 10;
const PART_RESPONSES_MIN = 4;

export class Dispersion {
  #value = DISPERSION_FIRST;
  #pairs = PAIRS_FIRST;

  /** The index of one count. */
  get value(): number {
    return this.#value;
  }

  /** So many responses in two equal parts of one look. */
  learn(first: number, second: number): void {
    if (this.#pairs < PAIRS_MAX) this.#pairs++;
    const seen = Math.min(DISPERSION_MOST, (first - second) ** 2 / Math.max(1, first + second));
    this.#value += (seen - this.#value) / this.#pairs;
  }
}

/** A longer pause is no part of a look, in ms and in times of a response: nobody asked. */
const PAUSE_MS = 300;
const PAUSE_TIMES = 5;

/** Responses in a second, and the square of its relative error. */
export interface Rate {
  readonly perMs: number;
  readonly variance: number;
}

export class Look {
  /** From when responses count. */
  readonly since: number;
  /** When the first of them came: it is not counted, and begins the time in which the others came. */
  #begunAt = Number.NaN;
  #lastAt = Number.NaN;
  readonly #dispersion: Dispersion;
  readonly #partMs: number;
  #responses = 0;
  #tookMs = 0;
  #free = 0;
  #partEnd: number;
  #part = 0;
  #lastPart = -1;

  /** `tookMs`: how long a response takes, as far as is known; `perMs`: how many come. */
  constructor(since: number, dispersion: Dispersion, tookMs: number, perMs: number) {
    this.since = since;
    this.#dispersion = dispersion;
    this.#partMs = Math.max(PART_MS_MIN, 1.5 * tookMs, perMs > 0 ? PART_RESPONSES_MIN / perMs : 0);
    this.#partEnd = since;
  }

  /** A response has begun. `free`: so many more requests the application might have had then. */
  saw(now: number, tookMs: number, free: number): void {
    if (Number.isNaN(this.#lastAt) || now - this.#lastAt > Math.max(PAUSE_MS, PAUSE_TIMES * tookMs)) {
      this.#begin(now);
      return;
    }
    this.#lastAt = now;
    while (now >= this.#partEnd) this.#endPart();
    this.#part++;
    this.#responses++;
    this.#tookMs += tookMs;
    this.#free += free;
  }

  #begin(now: number): void {
    this.#begunAt = this.#lastAt = now;
    this.#partEnd = now + this.#partMs;
    this.#responses = this.#tookMs = this.#free = this.#part = 0;
    this.#lastPart = -1;
  }

  /** How long it takes so far. */
  ms(now: number): number {
    return Number.isNaN(this.#begunAt) ? 0 : now - this.#begunAt;
  }

  #endPart(): void {
    if (this.#lastPart >= 0) this.#dispersion.learn(this.#lastPart, this.#part);
    // Pairs do not overlap.
    this.#lastPart = this.#lastPart >= 0 ? -1 : this.#part;
    this.#part = 0;
    this.#partEnd += this.#partMs;
  }

  get responses(): number {
    return this.#responses;
  }

  get tookMs(): number {
    return this.#tookMs / this.#responses;
  }

  /** How many more requests the application might have had at once, on average. */
  get free(): number {
    return this.#free / this.#responses;
  }

  /** It ends with a response. */
  rate(now: number): Rate {
    const perMs = this.#responses / Math.max(0.01, this.ms(now));
    return { perMs, variance: Math.max(0.02, this.#dispersion.value) / this.#responses };
  }
}
