/** Streams that were reset here while their client still sent: its frames may be on their way. */
const RESET_HERE_MAX = 1_000;
const ID_MAX = 2 ** 31 - 1;

/** The streams of a connection that are not open. */
export class StreamNumbers {
  /** The last one that the client has opened. */
  last = 0;
  /** The last one that is served. */
  lastServed = ID_MAX;
  /** The client left out numbers: one that is below the last may never have been opened. */
  skipped = false;
  readonly #resetHere = new Set<number>();
  /** Frames of streams that were reset here may come that are not known any more. */
  #forgot = false;

  opened(id: number): void {
    this.skipped ||= id > this.last + 2;
    this.last = id;
  }

  /** It was never opened. */
  isIdle(id: number): boolean {
    return id > this.last;
  }

  wasReset(id: number): void {
    this.#resetHere.add(id);
    if (this.#resetHere.size <= RESET_HERE_MAX) return;
    this.#forgot = true;
    for (const oldest of this.#resetHere) {
      this.#resetHere.delete(oldest);
      return;
    }
  }

  /** Its client has ended it, too. */
  ended(id: number): void {
    this.#resetHere.delete(id);
  }

  /** Its client may not have known that it is closed, or that it is not served. */
  mayStillSend(id: number): boolean {
    return this.#forgot || this.#resetHere.has(id) || id > this.lastServed;
  }
}
