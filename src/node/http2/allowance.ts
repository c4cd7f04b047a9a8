/** How often something may happen: so often at once, then at a rate; what a peer does well earns it more. */
export class Allowance {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #earnedMax: number;
  #left: number;
  #earned = 0;
  #since: number;

  constructor(burst: number, perSecond: number, earnedMax: number, now: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
    this.#earnedMax = earnedMax;
    this.#left = burst;
    this.#since = now;
  }

  earn(count: number): void {
    this.#earned = Math.min(this.#earnedMax, this.#earned + count);
  }

  /** False: it is used up. `now` is asked only when nothing is left. */
  spend(now: () => number): boolean {
    if (this.#earned >= 1) {
      this.#earned--;
      return true;
    }
    if (this.#left < 1) {
      const at = now();
      this.#left = Math.min(this.#burst, this.#left + (at - this.#since) * this.#perMs);
      this.#since = at;
    }
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
