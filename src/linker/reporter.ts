import { guard } from '../boundary.ts';

const REPORT_EVERY_MS = 500;

/** Reports how many streams are in use, often enough to look at and seldom enough to cost nothing. */
export class Reporter {
  readonly #report: () => void;
  #inUse = 0;
  #reported = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(report: () => void) {
    this.#report = report;
  }

  /** Called for each stream. */
  inUse(inUse: number): void {
    this.#inUse = inUse;
    if (this.#timer !== null || inUse === this.#reported) return;
    const waitMs = this.#reportedAt + REPORT_EVERY_MS - performance.now();
    if (waitMs <= 0) this.now();
    else this.#timer = setTimeout(this.#due, waitMs);
  }

  /** The state has changed, which is not for waiting. */
  now(): void {
    this.#reported = this.#inUse;
    this.#reportedAt = performance.now();
    this.#report();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  readonly #due = guard('timer', () => {
    this.#timer = null;
    if (this.#inUse !== this.#reported) this.now();
  });
}
