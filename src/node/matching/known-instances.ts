/** A route's instances in the whole cluster, as far as this node knows them. */
export class KnownInstances {
  #newest: string | null = null;
  /** The one that was the newest before. */
  #before: string | null = null;
  /** The instance whose link here was the last one to break. */
  #lastGone: string | null = null;

  /** The newest ready instance. */
  get newest(): string | null {
    return this.#newest;
  }

  get before(): string | null {
    return this.#before;
  }

  /** Returns whether it was another one before. */
  becameNewest(instance: string): boolean {
    if (this.#newest === instance) return false;
    this.#before = this.#newest;
    this.#newest = instance;
    return true;
  }

  /** Its link here has broken. */
  gone(instance: string): void {
    this.#lastGone = instance;
  }

  /** Another instance than this one serves. */
  hasOther(instance: string): boolean {
    return this.#isOther(this.#newest, instance) || this.#isOther(this.#before, instance);
  }

  /** The newest one has not been seen to go. */
  get hasNewest(): boolean {
    return this.#newest !== null && this.#newest !== this.#lastGone;
  }

  #isOther(known: string | null, instance: string): boolean {
    return known !== null && known !== instance && known !== this.#lastGone;
  }
}
