/** RFC 9113 section 6.9.2: what each stream has before anything is agreed on. */
export const FIRST_WINDOW_BYTES = 65_535;
/** Fills a line of 1 Gbit/s with a round trip of 100 ms. */
const WINDOW_BYTES_MAX = 16 * 1_048_576;
const GROWTH = 16;
/** A half of the window that took longer was not slow because of the window, whatever the round trip is. */
const QUICK_MS = 1_000;
/** One upload may take this share of what is left, so that something is left for the next. */
const SHARE = 1 / 8;

/** The memory by which all windows of a process together may grow. */
export class WindowBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Returns how many of `wanted` bytes it gives. */
  reserve(wanted: number): number {
    const bytes = Math.max(0, Math.min(wanted, Math.floor(this.#left * SHARE)));
    this.#left -= bytes;
    return bytes;
  }

  release(bytes: number): void {
    this.#left += bytes;
  }
}

/**
 * The window of one request's body. It begins small, so that many who wait for a slot hold little, and grows while the application takes
 * what comes as fast as it may come: then it is the window that limits it.
 */
export class UploadWindow {
  readonly #budget: WindowBudget;
  #bytes = FIRST_WINDOW_BYTES;
  /** Bytes that the client may still send. */
  #credit = FIRST_WINDOW_BYTES;
  #reserved = 0;
  #renewedAt: number;
  #state: 'open' | 'released' = 'open';

  constructor(budget: WindowBudget, now: number) {
    this.#budget = budget;
    this.#renewedAt = now;
  }

  /** False: it sent more than it may. */
  received(bytes: number): boolean {
    this.#credit -= bytes;
    return this.#credit >= 0;
  }

  /** `unread`: what lies here and was not taken yet. Returns what the client may send in addition. */
  renew(unread: number, now: number): number {
    const free = this.#bytes - this.#credit - unread;
    if (this.#state === 'released' || free < this.#bytes / 2) return 0;
    if (now - this.#renewedAt < QUICK_MS) this.#grow();
    this.#renewedAt = now;
    const more = this.#bytes - this.#credit - unread;
    this.#credit += more;
    return more;
  }

  /** Nothing of it lies here any more. */
  release(): void {
    this.#state = 'released';
    this.#budget.release(this.#reserved);
    this.#reserved = 0;
  }

  #grow(): void {
    const wanted = Math.min(WINDOW_BYTES_MAX, this.#bytes * GROWTH) - this.#bytes;
    const bytes = this.#budget.reserve(wanted);
    this.#reserved += bytes;
    this.#bytes += bytes;
  }
}
