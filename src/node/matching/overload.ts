/**
 * Whether a route's clients of one urgency come faster than they are served, for longer than they wait: first come, first served then gives each slot
 * to a client that is about to leave, and goes on doing so after the rush (Bronson et al., "Metastable Failures in Distributed Systems", 2021).
 * So in an overload nobody waits for longer than a part of what clients have patience for, and some who come are refused at once: the more, the
 * longer the queue, as in random early detection (Floyd, Jacobson 1993) by time instead of length, as in CoDel (RFC 8289). All nodes serve the oldest
 * client of the cluster, so all see the same wait and refuse the same part.
 *
 * A rush within which nobody leaves is no overload, nor is an application that serves nobody: then clients are held, as ever.
 * Times are monotonic ms.
 */
import { Patience } from './patience.ts';

/** This part of clients would have left after the patience that counts. */
const IMPATIENT_SHARE = 0.25;
/** The longest wait in an overload is this part of that patience, and at least so long that slots find a client. */
const WAIT_SHARE = 0.25;
const WAIT_MS_MIN = 100;
/** Below this share of the longest wait nobody is refused. */
const CALM_SHARE = 0.5;
/** Rates are over one to two of these. */
const WINDOW_MS = 2_000;
/** ... and over no less. */
const RATE_MS_MIN = 250;
/** An overload begins when those who are served have waited for too long, when so many, and such a part, have left in that time, */
const LEFT_MIN = 20;
const LEFT_SHARE = 0.2;
/** ... and so many would be served within the longest wait: in a slower queue a limit in time would refuse nearly all. */
const SERVED_IN_TIME_MIN = 4;
/** Nobody was served for so many times their patience: the application does not serve. Less than that the requests that are in it may take. */
const STALLED_PATIENCES = 2;
/** An overload is over when the queue was short for this time. */
const CALM_MS = 1_000;
/** For so long after it, a wait of so many times the longest one is enough for the next to begin: nobody has to leave before. */
const RECENT_MS = 60_000;
const RECENT_WAITS = 3;
/** How much the wait of one client counts in the mean. */
const MEAN_PART = 1 / 8;
const RETRY_AFTER_SECONDS_MAX = 30;

interface Counts {
  left: number;
  served: number;
}

export class Overload {
  readonly #patience = new Patience();
  readonly #random: () => number;
  #windowAt = Number.NEGATIVE_INFINITY;
  /** Nothing was counted in the windows before. */
  #countedSince = Number.NEGATIVE_INFINITY;
  #now: Counts = none();
  #before: Counts = none();
  #servedAt = Number.NEGATIVE_INFINITY;
  /** How long clients of late had waited when they had a slot; null: none had. */
  #waitMs: number | null = null;
  #wasOnAt = Number.NEGATIVE_INFINITY;
  /** The last time that the queue was not short. */
  #longAt = Number.NEGATIVE_INFINITY;
  /** Infinity: there is no overload. */
  #limitMs = Number.POSITIVE_INFINITY;

  /** `random`: from 0 up to 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  get isOn(): boolean {
    return this.#limitMs !== Number.POSITIVE_INFINITY;
  }

  get leastMs(): number {
    return this.#limitMs;
  }

  /** The longest that a client waits now. */
  limitMs(now: number): number {
    return this.#isStalled(this.#limitMs, now) ? Number.POSITIVE_INFINITY : this.#limitMs;
  }

  /** The same, for people: null where nobody is refused, also when the clients have gone and nothing has ended the overload yet. */
  shownMs(now: number): number | null {
    const limitMs = this.limitMs(now);
    return limitMs === Number.POSITIVE_INFINITY || now - this.#longAt >= Math.max(CALM_MS, limitMs) ? null : limitMs;
  }

  /** A client left after `ageMs`. Returns whether the limit is another one. */
  left(ageMs: number, now: number): boolean {
    this.#rotate(now);
    this.#patience.left(ageMs, now);
    this.#now.left++;
    const limitMs = this.#limitByPatience();
    if (limitMs === Number.POSITIVE_INFINITY || (!this.isOn && !this.#begins(limitMs, now))) return false;
    return this.#set(limitMs, now);
  }

  /** A client had a slot after `ageMs`. Returns whether the limit is another one. */
  served(ageMs: number, now: number): boolean {
    this.#rotate(now);
    this.#patience.stayed(ageMs);
    const wasStalled = this.#isStalled(this.#limitMs, now);
    this.#servedAt = now;
    this.#now.served++;
    this.#waitMs = this.#waitMs === null ? ageMs : this.#waitMs + (ageMs - this.#waitMs) * MEAN_PART;
    if (!this.isOn) {
      const limitMs = this.#limitByPatience();
      return now - this.#wasOnAt < RECENT_MS && this.#waitMs >= RECENT_WAITS * limitMs && this.#set(limitMs, now);
    }
    if (ageMs >= this.#limitMs * CALM_SHARE) this.#longAt = now;
    else if (now - this.#longAt >= CALM_MS) return this.#set(Number.POSITIVE_INFINITY, now);
    return wasStalled;
  }

  /** A client was refused. What it has waited for says less of its patience than the waits of those who are served now. */
  refused(now: number): void {
    this.#longAt = now;
  }

  /** Nobody is held when a client comes. Returns whether the limit is another one. */
  empty(now: number): boolean {
    return this.isOn && now - this.#longAt >= CALM_MS && this.#set(Number.POSITIVE_INFINITY, now);
  }

  /** A client has come, and `held` wait here: whether it is refused at once. */
  refuses(held: number, now: number): boolean {
    if (this.limitMs(now) === Number.POSITIVE_INFINITY) return false;
    this.#rotate(now);
    const perMs = this.#servedPerMs(now);
    if (perMs === 0) return false;
    const full = held / perMs / this.#limitMs;
    return full > CALM_SHARE && this.#random() < (full - CALM_SHARE) / (1 - CALM_SHARE);
  }

  /** At random, so that those who are refused together do not come again together. */
  get retryAfterSeconds(): number {
    const patienceMs = this.isOn ? this.#limitMs / WAIT_SHARE : 0;
    return 1 + Math.floor(this.#random() * Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(2, patienceMs / 1_000)));
  }

  #isStalled(limitMs: number, now: number): boolean {
    return now - this.#servedAt > (STALLED_PATIENCES * limitMs) / WAIT_SHARE;
  }

  #limitByPatience(): number {
    return Math.max(WAIT_MS_MIN, this.#patience.within(IMPATIENT_SHARE) * WAIT_SHARE);
  }

  #begins(limitMs: number, now: number): boolean {
    if (this.#waitMs === null || this.#waitMs < limitMs || this.#isStalled(limitMs, now)) return false;
    const left = this.#now.left + this.#before.left;
    const served = this.#now.served + this.#before.served;
    if (left < LEFT_MIN || left < LEFT_SHARE * (left + served)) return false;
    return this.#servedPerMs(now) * limitMs >= SERVED_IN_TIME_MIN;
  }

  #set(limitMs: number, now: number): boolean {
    if (limitMs === this.#limitMs) return false;
    if (this.isOn) this.#wasOnAt = now;
    else this.#longAt = now;
    this.#limitMs = limitMs;
    return true;
  }

  #servedPerMs(now: number): number {
    const part = Math.min(1, (now - this.#windowAt) / WINDOW_MS);
    const overMs = Math.min(WINDOW_MS, Math.max(RATE_MS_MIN, now - this.#countedSince));
    return (this.#before.served * (1 - part) + this.#now.served) / overMs;
  }

  #rotate(now: number): void {
    const windows = (now - this.#windowAt) / WINDOW_MS;
    if (windows < 1) return;
    this.#before = windows < 2 ? this.#now : none();
    this.#now = none();
    if (windows >= 2) this.#countedSince = now;
    this.#windowAt = windows < 2 ? this.#windowAt + WINDOW_MS : now;
  }
}

function none(): Counts {
  return { left: 0, served: 0 };
}
