/** What is declared wrongly, in the log: once, again while it lasts, and when nothing is wrong any more. */
import { guard } from '../boundary.ts';
import type { Log } from '../log.ts';
import type { Problem } from './source.ts';

/** The event log calls a problem open for a little longer. */
const AGAIN_MS = 10 * 60_000;
/** All others are counted. */
const SAID_MAX = 50;

export class Problems {
  readonly #log: Log;
  readonly #found = new Map<string, readonly Problem[]>();
  #said = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(log: Log) {
    this.#log = log;
    const again = guard('timer', () => {
      this.#said = new Set();
      this.#say();
    });
    this.#timer = setInterval(again, AGAIN_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Takes all problems of one kind that there are now. */
  of(kind: string): (problems: readonly Problem[]) => void {
    return (problems) => {
      this.#found.set(kind, problems);
      this.#say();
    };
  }

  #say(): void {
    const all = [...this.#found.values()].flat();
    const before = this.#said;
    const keys = new Set(all.map(({ route, text }) => `${route} ${text}`));
    const fresh = all.filter(({ route, text }) => !before.has(`${route} ${text}`));
    this.#said = keys;
    const more = fresh.length - SAID_MAX;
    const said = [...fresh.slice(0, SAID_MAX), ...(more > 0 ? [{ route: null, text: `${more} more problems` }] : [])];
    for (const { route, text: reason } of said) this.#log.warn({ route, reason }, 'what was discovered can not be used as it is');
    if (keys.size === 0 && before.size > 0) this.#log.info('all that was discovered can be used now');
  }
}
