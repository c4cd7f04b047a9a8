/**
 * How long clients wait before they leave, learned from those who left. One who was served or refused would have waited longer, nobody knows how long:
 * such observations are censored, and the estimate is that of Kaplan and Meier (1958) over a histogram. Old observations fade.
 */

/** Upper bounds of the buckets grow by this factor, from the first one on; the last bucket has none. */
const FIRST_BOUND_MS = 50;
const GROWTH = 1.25;
const BUCKETS = 36;
/** Beyond so many observations all count half. */
const OBSERVATIONS_MAX = 2_000;
/** With fewer who left, or after such a time without any, nothing is known. */
const LEFT_MIN = 20;
const FORGOTTEN_AFTER_MS = 600_000;

export class Patience {
  readonly #left = new Float64Array(BUCKETS);
  readonly #stayed = new Float64Array(BUCKETS);
  #observations = 0;
  #leftAt = Number.NEGATIVE_INFINITY;

  /** A client left after `ageMs`. `now`: monotonic ms. */
  left(ageMs: number, now: number): void {
    if (now - this.#leftAt > FORGOTTEN_AFTER_MS) this.#forget();
    this.#leftAt = now;
    this.#count(this.#left, ageMs);
  }

  /** A client was still there after `ageMs`, when its wait was over. */
  stayed(ageMs: number): void {
    this.#count(this.#stayed, ageMs);
  }

  /** The time within which this share of clients would have left, were they not served; Infinity: so many do not leave, or it is not known. */
  within(share: number): number {
    let atRisk = 0;
    let left = 0;
    for (let i = 0; i < BUCKETS; i++) {
      atRisk += (this.#left[i] as number) + (this.#stayed[i] as number);
      left += this.#left[i] as number;
    }
    if (left < LEFT_MIN) return Number.POSITIVE_INFINITY;
    let there = 1;
    for (let i = 0; i < BUCKETS && atRisk > 0; i++) {
      there *= 1 - (this.#left[i] as number) / atRisk;
      if (there <= 1 - share) return i === 0 ? 0 : FIRST_BOUND_MS * GROWTH ** (i - 1);
      atRisk -= (this.#left[i] as number) + (this.#stayed[i] as number);
    }
    return Number.POSITIVE_INFINITY;
  }

  #count(counts: Float64Array, ageMs: number): void {
    const bucket = ageMs <= FIRST_BOUND_MS ? 0 : Math.ceil(Math.log(ageMs / FIRST_BOUND_MS) / Math.log(GROWTH));
    const at = Math.min(BUCKETS - 1, bucket);
    counts[at] = (counts[at] as number) + 1;
    if (++this.#observations < OBSERVATIONS_MAX) return;
    this.#observations /= 2;
    for (let i = 0; i < BUCKETS; i++) {
      this.#left[i] = (this.#left[i] as number) / 2;
      this.#stayed[i] = (this.#stayed[i] as number) / 2;
    }
  }

  #forget(): void {
    this.#left.fill(0);
    this.#stayed.fill(0);
    this.#observations = 0;
  }
}
