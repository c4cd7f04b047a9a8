import { guard } from '../boundary.ts';
import { AutoLimit } from './auto-limit.ts';
import type { Limit } from './limit.ts';
import type { Slots } from './slots.ts';

/** Of a limit that is searched for. */
export interface AutoRange {
  readonly least: number;
  readonly most: number;
}

/** Where a search begins, if that is in its range. */
const FIRST = 10;
/** A response that goes on for so long after it has begun is long by nature: a WebSocket, events, a download. */
const LONG_AFTER_MS = 1_000;
/** Between two counts of streams that are long by nature. */
const COUNT_EVERY_MS = 250;

/** The application's responses. */
export interface TimedResponses {
  /** Told how long each took to begin; null: nobody wants to know. */
  took: ((ms: number) => void) | null;
  /** How many that began before `since` still go on. */
  countBegun(since: number): number;
}

export interface AutoSearchOptions {
  readonly range: AutoRange;
  readonly slots: Slots;
  readonly limit: Limit;
  readonly pool: TimedResponses;
}

/** Where the search begins. */
export function firstLimit({ least, most }: AutoRange): number {
  return Math.min(most, Math.max(least, FIRST));
}

/**
 * Sets the limit to what auto-limit.ts finds. Streams that are long by nature are left out of that: they come on top of it, so that they
 * neither look like work nor take the places of requests.
 */
export class AutoSearch {
  readonly #options: AutoSearchOptions;
  #search: AutoLimit | null = null;
  #timer: NodeJS.Timeout | null = null;
  #long = 0;

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
    this.#set(this.#search);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#search = null;
    this.#options.pool.took = null;
  }

  /** A response has begun, so long after the application had its request. */
  #answered(tookMs: number): void {
    const { slots } = this.#options;
    const search = this.#search;
    if (search?.answered(performance.now(), tookMs, slots.atApplication >= slots.limit) === true) this.#set(search);
  }

  #set(search: AutoLimit): void {
    const { limit, range } = this.#options;
    limit.set(Math.min(range.most, search.limit + this.#long), 'auto');
  }

  readonly #count = guard('timer', () => {
    const search = this.#search;
    const long = this.#options.pool.countBegun(performance.now() - LONG_AFTER_MS);
    if (search === null || long === this.#long) return;
    this.#long = long;
    this.#set(search);
  });
}
