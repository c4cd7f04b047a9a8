/** What trials say: pure functions. */
import type { Trial } from './trial.ts';

/** The best limit is the lowest one that gives this part of the highest goodput: beyond that only times grow. */
const ALIKE = 0.95;
/** It has settled once it has been good for so long. */
const GOOD_FOR_MS = 2_000;
const STEP_MS = 250;
const GOODPUT_MIN = 0.9;
const INSIDE_MAX = 1.3;

export interface Figures {
  /** Responses per second. */
  readonly goodput: number;
  /** Mean time from when a request leaves the node until its response is complete. */
  readonly insideMs: number;
}

export function figuresOf({ served }: Trial, fromMs: number, toMs: number): Figures {
  const counted = served.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  const sum = counted.reduce((total, { insideMs }) => total + insideMs, 0);
  return { goodput: (counted.length * 1_000) / (toMs - fromMs), insideMs: sum / counted.length };
}

/** The highest goodput of all limits, and the time inside at the best limit. */
export interface Best extends Figures {
  readonly limit: number;
}

export function bestOf(tried: ReadonlyMap<number, Figures>): Best {
  const goodput = Math.max(...[...tried.values()].map((figures) => figures.goodput));
  const limit = Math.min(...[...tried].filter(([, figures]) => figures.goodput >= ALIKE * goodput).map(([one]) => one));
  return { limit, goodput, insideMs: tried.get(limit)?.insideMs ?? 0 };
}

/** After how many ms it is as good as the best for a while; null: never. */
export function settledAfterMs(trial: Trial, best: Figures, fromMs: number, toMs: number): number | null {
  for (let at = fromMs; at + GOOD_FOR_MS <= toMs; at += STEP_MS) {
    const { goodput, insideMs } = figuresOf(trial, at, at + GOOD_FOR_MS);
    if (goodput >= GOODPUT_MIN * best.goodput && insideMs <= INSIDE_MAX * best.insideMs) return at - fromMs;
  }
  return null;
}
