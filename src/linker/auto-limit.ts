/**
 * Finds how many requests an application takes at once, from the time until its responses begin. Below its knee that time does not depend on
 * how many requests it has. Beyond the knee requests wait inside the application, and the time grows with their number. So the limit is
 * moved a little for a moment, and it is looked at what that did:
 *
 *     up     the higher limit stays if less than half of the growth has become waiting
 *     down   if the time fell by more than half of what waiting would explain, requests did wait, and the limit is lowered to where waiting
 *            ends (Little's law: limit × time without waiting / time); otherwise it goes back
 *
 * Both are tried in turn. Steps that succeed follow each other at once. While they fail, the limit rests longer and longer in between. How
 * many responses a look needs follows from how much their times vary. Nothing is learnt while the application has fewer requests than it may
 * have: then clients set the pace. All times are arguments, none is read.
 */

/** A look needs at least so many responses, and at most. */
const ANSWERS_MIN = 12;
const ANSWERS_MAX = 400;
/** How many standard errors of a difference of two means a wrong decision is away. */
const CERTAINTY = 1.7;
/** A look takes at least so long, and is judged by what came within this time where answers are rare. */
const LOOK_MS_MIN = 50;
const LOOK_MS_MAX = 2_000;
const ANSWERS_LATE_MIN = 3;
/** Shorter times are not told apart. */
const MEAN_MS_LEAST = 0.001;
/** A look begins when answers have taken as long as this many take on average, since the limit moved. */
const SETTLED_AFTER = 2;
const SETTLE_MS_MAX = 2_000;
/** The first step up, as a share of the limit, and the largest. */
const STEP_FIRST = 0.25;
const STEP_LAST = 0.5;
const DOWN_TO = 0.75;
const DOWN_TO_LEAST = 0.3;
/** The limit rests so long after a step that failed: first, and at most. */
const REST_MS_FIRST = 300;
const REST_MS_LAST = 3_000;
/** Answers take so much longer than lately: a step down tells whether requests wait. */
const SLOWER = 1.25;
/** So much of a change has to be seen in the time for it to be waiting: more than half, since too low a limit costs throughput. */
const SEEN = 0.6;
/** Once both steps have failed, one of so many is down: it costs throughput while it is looked at. */
const DOWN_EVERY = 4;
/** The application has as many requests as it may have, in so many of its responses. */
const BUSY_SHARE = 0.8;

export interface AutoBounds {
  readonly least: number;
  readonly most: number;
  readonly first: number;
}

type Phase = 'steady' | 'up' | 'down';

export class AutoLimit {
  readonly #bounds: AutoBounds;
  #limit: number;
  /** Where it goes back to when a step has failed, and the mean time of a response there; 0: not known yet. */
  #steady: number;
  #steadyMs = 0;
  #phase: Phase = 'steady';
  #next: 'up' | 'down' = 'up';
  /** Steps that failed, one after the other. */
  #failures = 0;
  #step = STEP_FIRST;
  #restMs = REST_MS_FIRST;
  #restUntil = 0;
  /** When the limit moved last. */
  #movedAt: number;
  /** Of this look: */
  #since: number;
  #answers = 0;
  #busy = 0;
  #sum = 0;
  #squares = 0;

  constructor(bounds: AutoBounds, now: number) {
    this.#bounds = bounds;
    this.#limit = this.#steady = clamp(bounds.first, bounds);
    this.#since = this.#movedAt = now;
  }

  get limit(): number {
    return this.#limit;
  }

  /**
   * A response has begun at `now`, `tookMs` after the application got its request. `full`: it had as many as it may have. Returns whether the
   * limit is another one now.
   */
  answered(now: number, tookMs: number, full: boolean): boolean {
    // What it got before the limit moved tells of the limit before. Of what it got right after, the quick answers come first.
    if (now < this.#since || now - tookMs < this.#movedAt) return false;
    this.#answers++;
    this.#sum += tookMs;
    this.#squares += tookMs * tookMs;
    if (full) this.#busy++;
    if (!this.#hasSeenEnough(now - this.#since)) return false;
    const before = this.#limit;
    this.#judge(now, Math.max(MEAN_MS_LEAST, this.#sum / this.#answers), this.#busy >= BUSY_SHARE * this.#answers);
    this.#answers = this.#busy = this.#sum = this.#squares = 0;
    this.#since = now;
    if (this.#limit === before) return false;
    this.#movedAt = now;
    this.#since = now + Math.min(SETTLE_MS_MAX, SETTLED_AFTER * this.#steadyMs);
    return true;
  }

  #hasSeenEnough(lookedMs: number): boolean {
    if (this.#answers < ANSWERS_LATE_MIN || lookedMs < LOOK_MS_MIN) return false;
    if (lookedMs >= LOOK_MS_MAX) return true;
    if (this.#answers < ANSWERS_MIN) return false;
    const mean = Math.max(MEAN_MS_LEAST, this.#sum / this.#answers);
    const variance = Math.max(0, this.#squares / this.#answers - mean * mean) / (mean * mean);
    const margin = (1 - SEEN) * this.#change;
    return this.#answers >= Math.min(ANSWERS_MAX, (2 * CERTAINTY * CERTAINTY * variance) / (margin * margin));
  }

  /** By how much the limit differs in the step that this look is for. */
  get #change(): number {
    if (this.#phase !== 'steady') return Math.abs(this.#limit / this.#steady - 1);
    return Math.max(1 - DOWN_TO, 1 / this.#steady);
  }

  #judge(now: number, ms: number, busy: boolean): void {
    if (!busy) this.#idle(ms);
    else if (this.#phase === 'up') this.#wentUp(now, ms);
    else if (this.#phase === 'down') this.#wentDown(now, ms);
    else this.#stayed(now, ms);
  }

  /** Clients set the pace. A step that was under way has shown nothing. */
  #idle(ms: number): void {
    if (this.#phase === 'steady') this.#steadyMs = ms;
    else this.#stay(this.#steady, this.#steadyMs);
  }

  #wentUp(now: number, ms: number): void {
    const grown = this.#limit / this.#steady;
    if (ms > this.#steadyMs * (1 + SEEN * (grown - 1))) {
      this.#failed(now);
      return;
    }
    this.#failures = 0;
    this.#step = Math.min(STEP_LAST, 2 * this.#step);
    this.#restMs = REST_MS_FIRST;
    this.#stay(this.#limit, ms);
    this.#up(now);
  }

  #wentDown(now: number, ms: number): void {
    const shrunk = this.#limit / this.#steady;
    const ratio = ms / this.#steadyMs;
    if (ratio > 1 - SEEN * (1 - shrunk)) {
      this.#failed(now);
      return;
    }
    this.#failures = 0;
    const served = Math.max(this.#limit, Math.ceil(this.#steady * ratio - 0.1));
    this.#restMs = REST_MS_FIRST;
    const goesOn = served === this.#limit;
    this.#stay(served, ms);
    if (goesOn) this.#down(now);
    else this.#next = 'up';
  }

  #stayed(now: number, ms: number): void {
    const before = this.#steadyMs;
    this.#steadyMs = ms;
    // If that is waiting, it ends where the responses take as long as before.
    if (before > 0 && ms > SLOWER * before) this.#down(now, Math.max(DOWN_TO_LEAST, before / ms));
    else if (now < this.#restUntil) return;
    else if (this.#next === 'up') this.#up(now);
    else this.#down(now);
  }

  #up(now: number): void {
    const next = clamp(Math.max(this.#steady + 1, Math.round(this.#steady * (1 + this.#step))), this.#bounds);
    if (next > this.#steady) this.#begin('up', next);
    else this.#failed(now);
  }

  #down(now: number, to = DOWN_TO): void {
    const next = clamp(Math.floor(this.#steady * Math.min(DOWN_TO, to)), this.#bounds);
    if (next < this.#steady) this.#begin('down', next);
    else this.#failed(now);
  }

  #begin(phase: 'up' | 'down', limit: number): void {
    this.#phase = phase;
    this.#limit = limit;
  }

  #failed(now: number): void {
    this.#step = STEP_FIRST;
    this.#stay(this.#steady, this.#steadyMs);
    this.#next = ++this.#failures % DOWN_EVERY === 1 ? 'down' : 'up';
    this.#restUntil = now + this.#restMs;
    this.#restMs = Math.min(REST_MS_LAST, 2 * this.#restMs);
  }

  #stay(limit: number, ms: number): void {
    this.#phase = 'steady';
    this.#limit = this.#steady = limit;
    this.#steadyMs = ms;
  }
}

function clamp(limit: number, { least, most }: AutoBounds): number {
  return Math.min(most, Math.max(least, limit));
}
