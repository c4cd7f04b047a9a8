/** What became of the clients of one storm. */
import { percentile } from '../load.ts';
import type { Asked, Kind } from './clients.ts';

/** Honest clients are looked at in pieces of this length. */
const PIECE_MS = 500;
/** Whole again: so many of a piece are served. */
const WHOLE = 0.9;

export interface StormTimes {
  /** The first client of the storm, and its last request. */
  readonly fromMs: number;
  readonly lastMs: number;
  /** The last honest client. */
  readonly untilMs: number;
}

export interface Outcome {
  /** Served a second while the storm lasted: all clients, and honest ones. */
  readonly goodput: number;
  readonly honest: number;
  /** What honest clients would have if each request of the storm had the same chance. */
  readonly share: number;
  /** From the storm's last request until honest clients are served as before; null: not while it was looked. */
  readonly wholeAfterMs: number | null;
  /** Times of those that were served in the storm. */
  readonly waitP50Ms: number;
  readonly waitP99Ms: number;
  readonly refused: number;
  readonly left: number;
}

export function outcomeOf(asked: readonly Asked[], { fromMs, lastMs, untilMs }: StormTimes): Outcome {
  // Until the storm has built up, for as long as clients wait, everybody has a slot in time.
  const settledMs = fromMs + 2_500;
  const during = asked.filter(({ atMs, tookMs }) => atMs + tookMs >= settledMs && atMs + tookMs < lastMs);
  const seconds = (lastMs - settledMs) / 1_000;
  const served = during.filter(({ outcome }) => outcome === 'served');
  const of = (some: readonly Asked[], kind: Kind): number => some.filter((one) => one.kind === kind).length;
  const waits = served.map(({ tookMs }) => tookMs);
  return {
    goodput: served.length / seconds,
    honest: of(served, 'honest') / seconds,
    share: (served.length / seconds) * (of(during, 'honest') / during.length),
    wholeAfterMs: wholeAfterMs(asked, lastMs, untilMs),
    waitP50Ms: percentile(waits, 50),
    waitP99Ms: percentile(waits, 99),
    refused: during.filter(({ outcome }) => outcome === 'refused').length,
    left: during.filter(({ outcome }) => outcome === 'left').length,
  };
}

/** By when they ask: the first piece from which on all are whole. */
function wholeAfterMs(asked: readonly Asked[], lastMs: number, untilMs: number): number | null {
  let since: number | null = null;
  for (let at = lastMs; at + PIECE_MS <= untilMs; at += PIECE_MS) {
    const piece = asked.filter(({ kind, atMs }) => kind === 'honest' && atMs >= at && atMs < at + PIECE_MS);
    const served = piece.filter(({ outcome }) => outcome === 'served').length;
    if (served < WHOLE * piece.length) since = null;
    else since ??= at - lastMs;
  }
  return since;
}
