/**
 * Finds how many requests an application takes at once, from how many responses it gives in a second. Below its knee that number grows with
 * the limit. Beyond the knee it does not: requests wait inside the application instead. So the limit is moved for a moment, and it is looked at
 * what that did:
 *
 *     up     the higher limit stays if it gives more responses
 *     down   the lower limit stays if it gives as many; otherwise one in between is tried, where as many are to be expected
 *
 * Both are tried in turn. Steps that succeed follow each other at once, and grow. While they fail, the limit rests longer and longer in
 * between. A look ends as soon as what it tells is clear, see auto-look.ts. Nothing is learnt while the application has fewer requests than
 * it may have: then clients set the pace. All times are arguments, none is read.
 */
import { Dispersion, Look, type Rate } from './auto-look.ts';
import type { Pressure } from './pressure.ts';

/**
 * A higher limit is to give this share more responses, or half of it at least; a lower one not as much less, or half of it at most. Where the
 * step is large, this part of it instead: it is followed by smaller ones.
 */
const GAIN = 0.08;
const LOSS = 0.06;
const OF_STEP = 0.4;
/** A look ends when its result is so much likelier with one answer than with the other: by a factor of e to this (Wald's sequential test). */
const LIKELIER = 3;
/** Or when it is so many standard errors away from what decides. */
const FAR = 2.6;
/** Or after a time: then a gain counts that is so many standard errors away from none, and a loss that is more than this part of the step. */
const CERTAINTY = 1.6;
const LATE_LOSS_OF_STEP = 0.33;
/** Limits between that of a step down and the one before are tried, so many in a row. */
const BETWEEN_MAX = 2;
/** The limit's own rate is known so much better than a look has to tell, in variance, before it is compared with another. */
const STEADY_SURER = 1.5;
/** It may change meanwhile, so it is never surer than this. */
const STEADY_VARIANCE_MIN = 0.01 ** 2;
const RESPONSES_MIN = 8;
const RESPONSES_MAX = 3_000;
/** It takes at least so long, and so many times as long as a response. */
const LOOK_MS_MIN = 60;
const LOOK_TIMES_MIN = 2;
const LOOK_MS_MAX = 2_000;
const LOOK_TIMES_MAX = 6;
const RESPONSES_LATE_MIN = 3;
/** A look begins when responses have taken as long as this many take on average, since the limit moved. */
const SETTLED_AFTER = 1.5;
const SETTLE_MS_MAX = 2_000;
/** Steps up, as a share of the limit: the first and the largest. */
const UP_FIRST = 0.25;
const UP_LAST = 0.5;
/** The same for steps down. */
const DOWN_FIRST = 0.25;
const DOWN_LAST = 0.5;
/** An application that has just started becomes faster: no step is taken while one look shows more than the one before, so many times. */
const WARMER_TIMES = 4;
/** The limit rests so long after a step that failed: first, and at most. */
const REST_MS_FIRST = 200;
const REST_MS_LAST = 2_000;
/** The application gives so many fewer responses than lately: a step down tells whether requests wait. */
const SLOWER = -0.2;
const SLOWER_TO_LEAST = 0.5;
const SLOWER_VARIANCE_MAX = 0.01;
/** One step of so many is down once both have failed: it costs throughput while it is looked at. */
const DOWN_EVERY = 4;
/** The application has as many requests as it may have, but for this share of the limit, and for those that are on their way to it. */
const FREE_SHARE_MAX = 0.25;
const ON_THEIR_WAY_MS = 4;

export interface AutoBounds {
  readonly least: number;
  readonly most: number;
  readonly first: number;
}

/** The application runs out of something: its limit goes down by so much, at most so often. */
const PRESSED_TO = 0.75;
const PRESSED_EVERY_MS = 2_000;

type Phase = 'steady' | 'up' | 'down';

export class AutoLimit {
  readonly #bounds: AutoBounds;
  readonly #dispersion = new Dispersion();
  #limit: number;
  /** Where it goes back to when a step has failed, and the rate there; null: not known yet. */
  #steady: number;
  #steadyRate: Rate | null = null;
  #phase: Phase = 'steady';
  #next: 'up' | 'down' = 'up';
  /** Steps that failed, one after the other. */
  #failures = 0;
  #upStep = UP_LAST;
  /** The last step was up, and was good. */
  #climbs = false;
  #downStep = DOWN_LAST;
  /** Limits between two that were tried in a row. */
  #between = 0;
  /** It has become slower than this, and is looked at again: that look saw both. */
  #slowerThan: Rate | null = null;
  #warmer = WARMER_TIMES;
  #restMs = REST_MS_FIRST;
  #restUntil = 0;
  #look: Look;
  #mayGrow = true;
  #pressedAt = Number.NEGATIVE_INFINITY;

  constructor(bounds: AutoBounds, now: number) {
    this.#bounds = bounds;
    this.#limit = this.#steady = clamp(bounds.first, bounds);
    this.#look = new Look(now, this.#dispersion, 0, 0);
  }

  get limit(): number {
    return this.#limit;
  }

  /**
   * A response has begun at `now`, `tookMs` after the application got its request. `free`: so many more it might have had then.
   * Returns whether the limit is another one now.
   */
  answered(now: number, tookMs: number, free: number): boolean {
    const look = this.#look;
    if (now < look.since) return false;
    look.saw(now, tookMs, free);
    const lookedMs = look.ms(now);
    if (look.responses < RESPONSES_LATE_MIN || lookedMs < Math.max(LOOK_MS_MIN, LOOK_TIMES_MIN * look.tookMs)) return false;
    const isLate = lookedMs >= Math.max(LOOK_MS_MAX, LOOK_TIMES_MAX * look.tookMs) || look.responses >= RESPONSES_MAX;
    if (!isLate && look.responses < RESPONSES_MIN) return false;
    const before = this.#limit;
    const rate = look.rate(now);
    if (look.free > FREE_SHARE_MAX * this.#limit + ON_THEIR_WAY_MS * rate.perMs) {
      if (!isLate && look.responses < 4 * RESPONSES_MIN) return false;
      this.#idle();
    } else if (!this.#judge(now, rate, isLate)) {
      return false;
    }
    const moved = this.#limit !== before;
    const since = moved ? now + Math.min(SETTLE_MS_MAX, SETTLED_AFTER * look.tookMs) : now;
    this.#look = new Look(since, this.#dispersion, look.tookMs, rate.perMs);
    return moved;
  }

  /** The application runs out of memory or processors, or no longer. Returns whether the limit is another one now. */
  pressed(now: number, pressure: Pressure): boolean {
    this.#mayGrow = pressure === 'none';
    const before = this.#limit;
    if (pressure !== 'none' && this.#phase === 'up') this.#failed(now);
    if (pressure === 'less' && now - this.#pressedAt >= PRESSED_EVERY_MS) {
      this.#pressedAt = now;
      this.#stay(clamp(Math.floor(this.#steady * PRESSED_TO), this.#bounds), null);
    }
    if (this.#limit === before) return false;
    this.#look = new Look(now, this.#dispersion, 0, 0);
    return true;
  }

  /** Returns false while it is not clear. */
  #judge(now: number, rate: Rate, isLate: boolean): boolean {
    if (this.#phase === 'up') return this.#wentUp(now, rate, isLate);
    if (this.#phase === 'down') return this.#wentDown(now, rate, isLate);
    return this.#stayed(now, rate, isLate);
  }

  /** Clients set the pace. A step that was under way has shown nothing, and what was seen before may not hold. */
  #idle(): void {
    this.#stay(this.#steady, null);
  }

  /** The most variance of the rate at this limit with which the next step may be decided. */
  get #varianceMax(): number {
    const decides =
      this.#next === 'up'
        ? gainOf(this.#steady, this.#steady * (1 + this.#upStep))
        : lossOf(this.#steady, this.#steady * (1 - this.#downStep));
    return decides ** 2 / (2 * LIKELIER * STEADY_SURER);
  }

  #wentUp(now: number, rate: Rate, isLate: boolean): boolean {
    const gain = gainOf(this.#steady, this.#limit);
    const { change, error } = this.#compared(rate);
    const isClear = isFar(change - gain / 2, gain, error);
    if (!isClear && !isLate) return false;
    if (change < Math.max(gain / 2, isClear ? 0 : CERTAINTY * error)) {
      this.#tooFar(now);
      return true;
    }
    // No more than the limit has grown by: a short look that saw more was lucky.
    const most = ((this.#steadyRate as Rate).perMs * this.#limit) / this.#steady;
    this.#succeeded({ ...rate, perMs: Math.min(rate.perMs, most) }, 'up');
    this.#climbs = true;
    this.#upStep = Math.min(UP_LAST, 1.6 * this.#upStep);
    this.#up(now);
    return true;
  }

  /** The knee is near: after large steps up that were good comes a small one. */
  #tooFar(now: number): void {
    if (!this.#climbs) {
      this.#failed(now);
      return;
    }
    this.#climbs = false;
    this.#upStep = UP_FIRST;
    this.#stay(this.#steady, this.#steadyRate);
    this.#up(now);
  }

  #wentDown(now: number, rate: Rate, isLate: boolean): boolean {
    const step = 1 - this.#limit / this.#steady;
    const loss = lossOf(this.#steady, this.#limit);
    const { change, error } = this.#compared(rate);
    const isClear = isFar(change + loss / 2, loss, error);
    if (!isClear && !isLate) return false;
    if (change >= -Math.max(loss / 2, isClear ? 0 : LATE_LOSS_OF_STEP * step)) {
      // Both gave as many.
      this.#succeeded(merged(this.#steadyRate as Rate, rate), 'down');
      this.#downStep = Math.min(DOWN_LAST, 1.6 * this.#downStep);
      this.#down(now, 1 - this.#downStep);
      return true;
    }
    const ratio = 1 + change;
    // With so many it would give as many responses, if their number grew with the limit until there.
    const knee = Math.ceil((this.#limit / ratio) * 1.02 - 0.2);
    if (this.#between++ < BETWEEN_MAX && knee > this.#limit && knee < this.#steady) this.#begin('down', knee);
    else this.#failed(now);
    return true;
  }

  #stayed(now: number, rate: Rate, isLate: boolean): boolean {
    const before = this.#steadyRate;
    if (before === null) {
      const enough = this.#slowerThan === null ? this.#varianceMax : SLOWER_VARIANCE_MAX;
      if (rate.variance > enough && !isLate) return false;
      this.#steadyRate = rate;
      if (this.#warmer > 0) return true;
      const slower = rate.perMs / (this.#slowerThan?.perMs ?? rate.perMs) - 1;
      this.#slowerThan = null;
      if (slower < SLOWER) {
        this.#down(now, Math.max(SLOWER_TO_LEAST, 1 + slower));
        return true;
      }
    } else {
      const { change, error } = this.#compared(rate);
      if (Math.abs(change - SLOWER) < CERTAINTY * error && !isLate) return false;
      if (change < SLOWER) {
        this.#slowerThan = before;
        this.#steadyRate = null;
        return true;
      }
      if (this.#warmer > 0 && change > CERTAINTY * error) {
        this.#warmer--;
        this.#steadyRate = rate;
        return true;
      }
      this.#warmer = 0;
      this.#steadyRate = merged(before, rate);
    }
    if (now < this.#restUntil || (this.#steadyRate.variance > this.#varianceMax && !isLate)) return true;
    if (this.#next === 'up') this.#up(now);
    else this.#down(now, 1 - this.#downStep);
    return true;
  }

  /** By which share it differs from the rate at the steady limit, and its standard error. */
  #compared({ perMs, variance }: Rate): { readonly change: number; readonly error: number } {
    const steady = this.#steadyRate as Rate;
    return { change: perMs / steady.perMs - 1, error: Math.sqrt(variance + steady.variance) };
  }

  #up(now: number): void {
    const next = clamp(Math.max(this.#steady + 1, Math.round(this.#steady * (1 + this.#upStep))), this.#bounds);
    if (next > this.#steady && this.#mayGrow) this.#begin('up', next);
    else this.#failed(now);
  }

  #down(now: number, to: number): void {
    const next = clamp(Math.min(this.#steady - 1, Math.round(this.#steady * to)), this.#bounds);
    if (next < this.#steady) this.#begin('down', next);
    else this.#failed(now);
  }

  #begin(phase: 'up' | 'down', limit: number): void {
    this.#phase = phase;
    this.#limit = limit;
  }

  #succeeded(rate: Rate, next: 'up' | 'down'): void {
    this.#failures = 0;
    this.#restMs = REST_MS_FIRST;
    this.#next = next;
    this.#stay(this.#limit, rate);
  }

  #failed(now: number): void {
    this.#climbs = false;
    this.#upStep = UP_FIRST;
    this.#downStep = DOWN_FIRST;
    this.#next = this.#phase !== 'down' && ++this.#failures % DOWN_EVERY === 1 ? 'down' : 'up';
    this.#stay(this.#steady, this.#steadyRate);
    this.#restUntil = now + this.#restMs;
    this.#restMs = Math.min(REST_MS_LAST, 2 * this.#restMs);
  }

  #stay(limit: number, rate: Rate | null): void {
    this.#phase = 'steady';
    this.#between = 0;
    this.#limit = this.#steady = limit;
    this.#steadyRate = rate;
  }
}

/** `from` what decides between no change and one by `effect`. */
function isFar(from: number, effect: number, error: number): boolean {
  return Math.abs(from) * effect > LIKELIER * error ** 2 || Math.abs(from) > FAR * error;
}

/** So many more responses, as a share, are expected of a step up. */
function gainOf(from: number, to: number): number {
  return to <= from + 1 ? GAIN : Math.max(GAIN, OF_STEP * (to / from - 1));
}

/** So many fewer of a step down below the knee. */
function lossOf(from: number, to: number): number {
  return to >= from - 1 ? LOSS : Math.max(LOSS, OF_STEP * (1 - to / from));
}

/** The mean of both, weighted by how sure they are; the older one fades. */
function merged(before: Rate, now: Rate): Rate {
  const weight = 1 / now.variance / (1 / now.variance + 1 / before.variance);
  const share = Math.max(weight, 0.3);
  return {
    perMs: before.perMs + (now.perMs - before.perMs) * share,
    variance: Math.max(STEADY_VARIANCE_MIN, (1 - share) * before.variance),
  };
}

function clamp(limit: number, { least, most }: AutoBounds): number {
  return Math.min(most, Math.max(least, limit));
}
