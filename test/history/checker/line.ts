import type { HistoryEvent, ProcessBegan } from '../events.ts';

/** An event with the process that wrote it. */
export interface Line {
  readonly event: HistoryEvent;
  readonly by: ProcessBegan;
}

export interface Finding {
  readonly rule: string;
  readonly text: string;
  /** The smallest history that shows it, in the order in which it happened. */
  readonly lines: readonly Line[];
}

/** What a rule needs: it is given all lines in the order of time. */
export interface Rule {
  take(line: Line): void;
  /** The history is over. */
  end?(): void;
}

export type Report = (finding: Finding) => void;

export const MS = 1_000;
export const SECOND = 1_000_000;

/** ROLE:NAME, as faults name processes. */
export function nameOf({ role, name }: ProcessBegan): string {
  return `${role}:${name}`;
}

/** For people: ms since `from`, the process, what happened. */
export function lineText({ event, by }: Line, from: number): string {
  const { e, t, ...rest } = event;
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${String(value)}`);
  return `${((t - from) / MS).toFixed(1).padStart(10)} ms  ${nameOf(by).padEnd(22)} ${e} ${facts.join(' ')}`;
}

export function findingText({ rule, text, lines }: Finding): string {
  const sorted = [...lines].sort((a, b) => a.event.t - b.event.t);
  const from = sorted[0]?.event.t ?? 0;
  return [`${rule}: ${text}`, ...sorted.map((line) => lineText(line, from))].join('\n');
}
