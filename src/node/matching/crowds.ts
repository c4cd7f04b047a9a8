/** The overloads of one route, by the urgency of its clients. */
import { OVERDUE, URGENCY_DEFAULT } from '../../cluster/fair-order.ts';
import { Overload } from './overload.ts';
import type { Visit } from './visit.ts';

export class Crowds {
  readonly #overloads: (Overload | undefined)[] = [];
  readonly #changed: () => void;

  /** `changed`: some wait for longer than they may now, or may wait for longer. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The client went away before it had a response. Those who wait for a start have another patience. */
  left(visit: Visit, now: number): void {
    if (isExempt(visit)) return;
    const overload = this.#of(visit) ?? new Overload();
    this.#overloads[urgencyOf(visit)] = overload;
    if (overload.left(now - visit.arrivedAt, now)) this.#changed();
  }

  served(visit: Visit, now: number): void {
    if (isExempt(visit)) return;
    if (this.#of(visit)?.served(now - visit.arrivedAt, now) === true) this.#changed();
  }

  /** The longest that it waits now. */
  limitMs(visit: Visit, now: number): number {
    return isExempt(visit) ? Number.POSITIVE_INFINITY : (this.#of(visit)?.limitMs(now) ?? Number.POSITIVE_INFINITY);
  }

  /** Nobody waits for less. */
  get leastMs(): number {
    return this.#overloads.reduce((least, overload) => Math.min(least, overload?.leastMs ?? least), Number.POSITIVE_INFINITY);
  }

  /** How long clients wait at most, where that is the shortest; null: there is no overload. */
  shownMs(now: number): number | null {
    const shown = this.#overloads.flatMap((overload) => overload?.shownMs(now) ?? []);
    return shown.length === 0 ? null : Math.min(...shown);
  }

  /** It has come, and nobody is held here. */
  empty(visit: Visit, now: number): void {
    if (this.#of(visit)?.empty(now) === true) this.#changed();
  }

  /** It has come, and `held` are held here, in one line: whether it would wait for too long. */
  refuses(visit: Visit, held: number, now: number): boolean {
    return this.#of(visit)?.refuses(held, now) ?? false;
  }

  /** It is refused for that. Returns when it may come again, in seconds. */
  refused(visit: Visit, now: number): number {
    const overload = this.#of(visit);
    overload?.refused(now);
    return overload?.retryAfterSeconds ?? 1;
  }

  #of(visit: Visit): Overload | undefined {
    return this.#overloads[urgencyOf(visit)];
  }
}

function urgencyOf({ ask }: Visit): number {
  return ask?.urgency ?? URGENCY_DEFAULT;
}

function isExempt({ cold, isRetried, isTimeless, ask }: Visit): boolean {
  return cold || isRetried || isTimeless || ask?.value === OVERDUE;
}
