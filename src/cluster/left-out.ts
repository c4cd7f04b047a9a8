/** Logs entries in Redis that are not used: each entry once, and few lines in all, because they are read at intervals. */
import type { Log } from '../log.ts';
import { BoundedMap } from '../memory/bounded-map.ts';

/** An entry that is still there is logged again after this time. */
const AGAIN_MS = 600_000;
/** Lines in one minute. */
const LINES_MAX = 10;
const MINUTE_MS = 60_000;
/** Entries that are remembered. */
const REMEMBERED_MAX = 1_000;
const CHARS_MAX = 100;

export class LeftOut {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #saidAt = new BoundedMap<string, number>(REMEMBERED_MAX);
  #minuteBegan = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #unsaid = 0;

  /** `now`: local monotonic ms. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** @param where the key or channel @param value what was found there, or its name */
  note(where: string, value: unknown, message = 'Redis has an entry that can not be used: it is left out'): void {
    const found = shown(value);
    const now = this.#now();
    const thing = `${where} ${found}`;
    if (now - (this.#saidAt.get(thing) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    this.#saidAt.set(thing, now);
    this.#say(now, { where: shown(where), found }, message);
  }

  #say(now: number, about: object, message: string): void {
    if (now - this.#minuteBegan >= MINUTE_MS) {
      this.#minuteBegan = now;
      this.#lines = 0;
    }
    if (++this.#lines > LINES_MAX) {
      this.#unsaid++;
      return;
    }
    this.#log.warn({ ...about, ...(this.#unsaid === 0 ? {} : { notLogged: this.#unsaid }) }, message);
    this.#unsaid = 0;
  }
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return text.length <= CHARS_MAX ? text : `${text.slice(0, CHARS_MAX)}…`;
}
