import { guard } from '../boundary.ts';

const REPORT_EVERY_MS = 500;
/** Between two reports of a limit that moves. */
const LIMIT_EVERY_MS = 100;
/** The same for one that moves by itself. */
const SEARCHED_LIMIT_EVERY_MS = 1_000;

/** Reports how many streams are in use, often enough to look at and seldom enough to cost nothing. */
export class Reporter {
  readonly #report: () => void;
  #inUse = 0;
  #reported = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  /** When the timer fires. */
  #dueAt = 0;
  #limitMoved = false;

  constructor(report: () => void) {
    this.#report = report;
  }

  /** Called for each stream. */
  inUse(inUse: number): void {
    this.#inUse = inUse;
    if (this.#timer !== null || inUse === this.#reported) return;
    this.#within(REPORT_EVERY_MS);
  }

  /** The limit has changed: clients may wait for that, or it may change all the time. */
  limitMoved(bySearch: boolean): void {
    this.#limitMoved = true;
    this.#within(bySearch ? SEARCHED_LIMIT_EVERY_MS : LIMIT_EVERY_MS);
  }

  #within(gapMs: number): void {
    const dueAt = this.#reportedAt + gapMs;
    const waitMs = dueAt - performance.now();
    if (waitMs <= 0) {
      this.now();
      return;
    }
    if (this.#timer !== null && this.#dueAt <= dueAt) return;
    this.stop();
    this.#dueAt = dueAt;
    this.#timer = setTimeout(this.#due, waitMs);
  }

  /** The state has changed, which is not for waiting. */
  now(): void {
    this.#reported = this.#inUse;
    this.#limitMoved = false;
    this.#reportedAt = performance.now();
    this.#report();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  readonly #due = guard('timer', () => {
    this.#timer = null;
    if (this.#limitMoved || this.#inUse !== this.#reported) this.now();
  });
}
