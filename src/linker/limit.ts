/**
 * How many requests the application may have at once, by its last setting: by the command line, by a response of the application, or at the
 * control socket. The linker alone decides it. It counts from the moment at which it is set here: the pool gives the application nothing
 * beyond it, and slots follow, see surplus.ts.
 */
import type { LimitSetter } from '../link/instance-report.ts';
import type { Log } from '../log.ts';
import { hear } from './heard.ts';
import type { Slots } from './slots.ts';

/** Unusable values of the limit are logged at most once within this time. */
const WARN_GAP_MS = 60_000;
/** Whole numbers, as a person or a program writes them. */
const NUMBER = /^\d{1,15}$/;

export interface LimitOptions {
  readonly slots: Slots;
  /** The application can't set it beyond this. */
  readonly most: number;
  readonly log: Log;
  /** The limit is another one. */
  readonly moved: () => void;
}

/** The number in a text about the limit; null: it is no number. */
export function readLimit(text: string): number | null {
  const word = text.trim();
  return NUMBER.test(word) ? Number(word) : null;
}

export class Limit {
  readonly #options: LimitOptions;
  #setBy: LimitSetter = 'flag';
  /** When the application has set the present limit, see heard.ts. */
  #saidAt = 0;
  readonly #changes: Partial<Record<LimitSetter, number>> = {};
  #unusable = 0;
  #cutLoggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LimitOptions) {
    this.#options = options;
  }

  get value(): number {
    return this.#options.slots.limit;
  }

  get most(): number {
    return this.#options.most;
  }

  /** The values that nodes are told. */
  get report(): {
    readonly concurrency: number;
    readonly setBy: LimitSetter;
    readonly changes: Partial<Record<LimitSetter, number>>;
    readonly unusable: number;
  } {
    return { concurrency: this.value, setBy: this.#setBy, changes: this.#changes, unusable: this.#unusable };
  }

  get setBy(): LimitSetter {
    return this.#setBy;
  }

  /**
   * A response of the application has set it. `heardAt`: when, see heard.ts; the later one counts, also if it comes here first. A text that
   * is no number is ignored.
   */
  said(text: string, heardAt = hear()): void {
    const limit = readLimit(text);
    if (limit !== null) this.set(limit, 'header', heardAt);
    else if (this.#unusable++ === 0) {
      this.#options.log.warn({ said: text }, 'what the application says about its concurrency is no whole number: it is ignored');
    }
  }

  set(said: number, by: LimitSetter, heardAt = hear()): void {
    if (heardAt < this.#saidAt) return;
    this.#saidAt = heardAt;
    const { slots, most, moved } = this.#options;
    if (said > most) this.#logCut(said);
    const limit = Math.min(said, most);
    const isSame = slots.limit === limit && this.#setBy === by;
    this.#setBy = by;
    if (isSame) return;
    slots.limit = limit;
    this.#changes[by] = (this.#changes[by] ?? 0) + 1;
    moved();
  }

  #logCut(said: number): void {
    const now = performance.now();
    if (now - this.#cutLoggedAt < WARN_GAP_MS) return;
    this.#cutLoggedAt = now;
    const { log, most } = this.#options;
    log.warn({ said, concurrency: most }, 'the application takes more than --concurrency-max: its limit is cut to that');
  }
}
