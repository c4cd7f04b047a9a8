import type { EventLevel } from './event.ts';

export interface Row {
  readonly code: string;
  readonly level: EventLevel;
  /** One sentence about the facts of the line. `say` shows one of them. */
  readonly text: (say: (fact: string) => string) => string;
  /** Says what happens by itself, and what to do. */
  readonly advice: string;
  /** It is wrong for so long after it was said last; 0: it is history at once. */
  readonly lastsMs: number;
  /** Codes of what is over now, at the same process (and at the same route, where there is one). */
  readonly ends: readonly string[];
}

export const MINUTE = 60_000;

/** Rows of what happened: the timeline shows them, nothing is wrong. */
export function happened(code: string, text: Row['text'], ends: readonly string[] = []): Row {
  return { code, level: 'note', text, advice: '', lastsMs: 0, ends };
}

export function wrong(level: EventLevel, code: string, text: Row['text'], advice: string, lastsMs = 3 * MINUTE): Row {
  return { code, level, text, advice, lastsMs, ends: [] };
}
