/**
 * Limits log lines that strangers can repeat. Otherwise a client that connects, sends nonsense and leaves would write to our disk as fast as it
 * sends. The first lines of each message in a window are written, and at its end one line says how many more there were.
 */

/** For all lines with the same message, whatever their other fields say. */
const WINDOW_MS = 10_000;
/** Warnings and errors. */
const LINES_MAX = 20;
/** Lines about normal events: many instances that start at once are no flood. */
const ORDERLY_LINES_MAX = 1_000;
/** Messages that are counted at a time. Beyond that, the oldest one is summed up early. */
const MESSAGES_MAX = 200;
const WARN = 40;
const INFO = 30;

/** Writes one line. */
type Write = (facts: object, message: string) => void;

interface Repeated {
  readonly until: number;
  written: number;
  /** Lines that were not written. */
  more: number;
  /** Writes the summary in the way of the last line. */
  write: Write;
}

export class RepeatedLines {
  readonly #now: () => number;
  readonly #messages = new Map<string, Repeated>();
  #timer: NodeJS.Timeout | null = null;

  /** `now`: monotonic ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether to write a line. `level` is pino's number; `write` writes a line of this logger and level. */
  take(level: number, message: string, write: Write): boolean {
    if (level < INFO) return true;
    let repeated = this.#messages.get(message);
    if (repeated !== undefined && this.#now() >= repeated.until) {
      this.#sumUp(message, repeated);
      repeated = undefined;
    }
    if (repeated === undefined) {
      for (const [first, oldest] of this.#messages) {
        if (this.#messages.size < MESSAGES_MAX) break;
        this.#sumUp(first, oldest);
      }
      this.#messages.set(message, { until: this.#now() + WINDOW_MS, written: 1, more: 0, write });
      return true;
    }
    if (repeated.written < (level >= WARN ? LINES_MAX : ORDERLY_LINES_MAX)) {
      repeated.written++;
      return true;
    }
    repeated.more++;
    repeated.write = write;
    this.#timer ??= setTimeout(() => this.#look(), WINDOW_MS).unref();
    return false;
  }

  /** Writes all summaries now; called at the end of the process. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [message, repeated] of this.#messages) this.#sumUp(message, repeated);
  }

  #look(): void {
    this.#timer = null;
    const now = this.#now();
    for (const [message, repeated] of this.#messages) {
      if (now >= repeated.until) this.#sumUp(message, repeated);
      else if (repeated.more > 0) this.#timer ??= setTimeout(() => this.#look(), WINDOW_MS).unref();
    }
  }

  #sumUp(message: string, { more, write }: Repeated): void {
    this.#messages.delete(message);
    if (more > 0) write({ more, withinMs: WINDOW_MS }, `${message} … ${more} more`);
  }
}
