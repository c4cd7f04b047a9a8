/**
 * When an instance asks whether it may leave. The newest of its route stays for long after its last stream, an older one
 * leaves soon; the cluster decides, so that the last ones do not leave together. Where there has been no node to ask for as long again, and
 * for a minute at least, nobody can want it: it leaves unasked, lest instances outlive the cluster that started them.
 */

import { guard } from '../boundary.ts';

/** A node that has not answered by then is asked again. */
const ANSWER_TIMEOUT_MS = 5_000;
const ASK_AGAIN_MS_MIN = 1_000;
const ALONE_MS_MIN = 60_000;
/** Longer than this a timer can't wait; it looks again then. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface RetireTimes {
  readonly idleTimeoutMs: number;
  readonly oldIdleTimeoutMs: number;
  readonly aloneMsMin?: number;
}

/** All times are performance.now() in ms. */
export interface IdleFacts {
  readonly now: number;
  /** The end of the last stream, or when the instance became ready. */
  readonly quietSince: number;
  /** When it was last told to stay, or could not ask. */
  readonly refusedAt: number | null;
  readonly timeoutMs: number;
}

/** How many ms from `now` the instance asks; 0 or less: now. */
export function askInMs({ now, quietSince, refusedAt, timeoutMs }: IdleFacts): number {
  const idle = quietSince + timeoutMs;
  const again = refusedAt === null ? idle : refusedAt + Math.max(ASK_AGAIN_MS_MIN, timeoutMs / 2);
  return Math.max(idle, again) - now;
}

/** `off`: not ready, or leaving. `watching`: for quiet that lasts. `asked`: the response is to come. */
type RetireState = 'off' | 'watching' | 'asked';

export class Retire {
  readonly #times: RetireTimes;
  /** Asks the home node; false when there is none. `stays`: it is not to ask now. */
  readonly #ask: () => boolean | 'stays';
  readonly #leave: () => void;
  #state: RetireState = 'off';
  /** When it wanted to ask first and there was no node; null: there was one since. */
  #aloneSince: number | null = null;
  #newest = true;
  #paused = false;
  /** A question is out, also one whose response is late. */
  #unanswered = false;
  readonly #due = guard('timer', () => (this.#state === 'asked' ? this.refused() : this.#look()));
  #inUse = 0;
  #quietSince = 0;
  #refusedAt: number | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `leave`: there is nobody to ask any more. */
  constructor(times: RetireTimes, ask: () => boolean | 'stays', leave: () => void) {
    this.#times = times;
    this.#ask = ask;
    this.#leave = leave;
  }

  /** Whether it is the newest of its route, as far as it was told. */
  get isNewest(): boolean {
    return this.#newest;
  }

  /** The instance is ready. */
  start(): void {
    if (this.#state !== 'off') return;
    this.#state = 'watching';
    this.#quietSince = performance.now();
    this.#look();
  }

  stop(): void {
    this.#state = 'off';
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Called for each stream: no timer is touched, the one that runs looks at what it finds. `inUse`: without those that keep nobody awake. */
  inUse(inUse: number): void {
    if (inUse === 0 && this.#inUse > 0) this.#quietSince = performance.now();
    this.#inUse = inUse;
  }

  /** The limit was set to 0, or away from it: the instance is about something. */
  paused(yes: boolean): void {
    if (yes !== this.#paused) this.#quietSince = performance.now();
    this.#paused = yes;
  }

  newest(yes: boolean): void {
    if (this.#newest === yes) return;
    this.#newest = yes;
    if (this.#state === 'watching') this.#look();
  }

  /** A node has answered. Returns whether the instance may leave: a response to no question means nothing. */
  answered(yes: boolean): boolean {
    const mayLeave = yes && this.#unanswered;
    this.#unanswered = false;
    if (!mayLeave) this.refused();
    return mayLeave;
  }

  /** The instance is to stay. */
  refused(): void {
    if (this.#state !== 'asked') return;
    this.#state = 'watching';
    this.#refusedAt = performance.now();
    this.#look();
  }

  /** Another node is home now: a response of the one before is not to come. */
  askAnother(): void {
    this.#aloneSince = null;
    if (this.#state !== 'asked') return;
    this.#state = 'watching';
    this.#look();
  }

  get #timeoutMs(): number {
    return this.#newest ? this.#times.idleTimeoutMs : this.#times.oldIdleTimeoutMs;
  }

  #look(): void {
    const now = performance.now();
    // With a stream in use the quiet is still to begin.
    const quietSince = this.#inUse > 0 ? now : this.#quietSince;
    const waitMs = askInMs({ now, quietSince, refusedAt: this.#refusedAt, timeoutMs: this.#timeoutMs });
    if (waitMs > 0) this.#lookIn(waitMs);
    else this.#askNow();
  }

  #askNow(): void {
    this.#state = 'asked';
    const asked = this.#ask();
    if (asked === 'stays') {
      this.#aloneSince = null;
      this.refused();
    } else if (asked) {
      this.#aloneSince = null;
      this.#unanswered = true;
      this.#lookIn(ANSWER_TIMEOUT_MS);
    } else if (this.#isAbandoned()) {
      this.#leave();
    } else {
      this.refused();
    }
  }

  #isAbandoned(): boolean {
    this.#aloneSince ??= performance.now();
    return performance.now() - this.#aloneSince >= Math.max(this.#timeoutMs, this.#times.aloneMsMin ?? ALONE_MS_MIN);
  }

  #lookIn(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#due, Math.min(TIMER_MS_MAX, Math.ceil(ms)));
  }
}
