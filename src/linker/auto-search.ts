import { guard, unawaited } from '../boundary.ts';
import { AutoLimit } from './auto-limit.ts';
import type { Limit } from './limit.ts';
import { findGroup, readPressure } from './pressure.ts';
import type { Slots } from './slots.ts';

/** The range of a limit that is searched for. */
export interface AutoRange {
  readonly least: number;
  readonly most: number;
}

/** Where a search begins, if that is in its range. */
const FIRST = 10;
/** A response that goes on for so long after it has begun is long by nature: a WebSocket, events, a download. */
const LONG_AFTER_MS = 1_000;
/** So is a request without a response after so many times the usual time: a long poll, a slow upload. */
const LONG_TIMES = 10;
/** The usual time follows the last so many responses. */
const USUAL_RESPONSES = 50;
/** Between two counts of streams that are long by nature. */
const COUNT_EVERY_MS = 250;
/** Between two looks at the application's control group. */
const PRESSURE_EVERY_MS = 1_000;

/** The application's responses. */
export interface TimedResponses {
  /** Told how long each took to begin; null: nobody wants to know. */
  took: ((ms: number) => void) | null;
  /** How many that began before `begunBy` still go on, with requests asked before `askedBy` that have no response yet, at most `silentMax`. */
  countLong(begunBy: number, askedBy: number, silentMax: number): number;
}

export interface AutoSearchOptions {
  readonly range: AutoRange;
  readonly slots: Slots;
  readonly limit: Limit;
  readonly pool: TimedResponses;
  /** The application's process; undefined: none is known here. */
  readonly pid: () => number | undefined;
}

/** Where the search begins. */
export function firstLimit({ least, most }: AutoRange): number {
  return Math.min(most, Math.max(least, FIRST));
}

/**
 * Sets the limit to what auto-limit.ts finds. Streams that are long by nature are left out of that: they come on top of it, so that they
 * neither look like work nor take the places of requests. Of those in silence there are at most as many as requests: an application that
 * hangs does not get ever more.
 */
export class AutoSearch {
  readonly #options: AutoSearchOptions;
  #search: AutoLimit | null = null;
  #timer: NodeJS.Timeout | null = null;
  #pressureTimer: NodeJS.Timeout | null = null;
  /** The application's group; undefined: it was not looked for yet. */
  #group: string | null | undefined;
  #isReading = false;
  #long = 0;
  /** How long a response takes to begin; 0: not known yet. */
  #usualMs = 0;

  constructor(options: AutoSearchOptions) {
    this.#options = options;
  }

  /** Goes on from the limit as it is. */
  start(): void {
    if (this.#search !== null) return;
    const { range, slots } = this.#options;
    const first = slots.limit === 0 ? firstLimit(range) : slots.limit;
    this.#search = new AutoLimit({ ...range, first }, performance.now());
    this.#options.pool.took = (tookMs) => this.#answered(tookMs);
    this.#timer = setInterval(this.#count, COUNT_EVERY_MS);
    this.#timer.unref();
    this.#pressureTimer = setInterval(this.#lookForPressure, PRESSURE_EVERY_MS);
    this.#pressureTimer.unref();
    this.#set(this.#search);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#pressureTimer !== null) clearInterval(this.#pressureTimer);
    this.#timer = this.#pressureTimer = null;
    this.#search = null;
    this.#options.pool.took = null;
  }

  /** A response has begun, so long after the application had its request. */
  #answered(tookMs: number): void {
    const { slots } = this.#options;
    const isLong = tookMs > this.#longMs;
    this.#usualMs += (tookMs - this.#usualMs) / (this.#usualMs === 0 ? 1 : USUAL_RESPONSES);
    const search = this.#search;
    if (isLong || search === null) return;
    const free = Math.max(0, slots.limit - slots.atApplication);
    if (search.answered(performance.now(), tookMs, free)) this.#set(search);
  }

  /** A request without a response for so long is long by nature. */
  get #longMs(): number {
    return Math.max(LONG_AFTER_MS, LONG_TIMES * this.#usualMs);
  }

  #set(search: AutoLimit): void {
    const { limit, range } = this.#options;
    limit.set(Math.min(range.most, search.limit + this.#long), 'auto');
  }

  readonly #lookForPressure = guard('timer', () => {
    // One that takes long is waited for.
    if (!this.#isReading) unawaited('timer', this.#readPressure());
  });

  async #readPressure(): Promise<void> {
    this.#isReading = true;
    try {
      const pid = this.#options.pid();
      if (this.#group === undefined && pid !== undefined) this.#group = await findGroup(pid);
      if (this.#group == null) return;
      const pressure = await readPressure(this.#group);
      const search = this.#search;
      if (search?.pressed(performance.now(), pressure) === true) this.#set(search);
    } finally {
      this.#isReading = false;
    }
  }

  readonly #count = guard('timer', () => {
    const search = this.#search;
    if (search === null) return;
    const now = performance.now();
    const long = this.#options.pool.countLong(now - LONG_AFTER_MS, now - this.#longMs, search.limit);
    if (long === this.#long) return;
    this.#long = long;
    this.#set(search);
  });
}
