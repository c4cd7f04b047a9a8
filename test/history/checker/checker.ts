/** All rules over one history, in one pass. Memory is bounded by what is under way at once, whatever the history's length. */
import { Disturbances } from './disturbances.ts';
import type { Finding, Line, Rule } from './line.ts';
import { Answers } from './rules/answers.ts';
import { IdleSlots } from './rules/idle.ts';
import { Keys } from './rules/keys.ts';
import { Limits } from './rules/limits.ts';
import { Order } from './rules/order.ts';
import { Places } from './rules/places.ts';
import { Starts } from './rules/starts.ts';
import { SlotBook } from './slots.ts';

const FINDINGS_MAX = 50;

export interface Verdict {
  readonly requests: number;
  readonly answered: number;
  /** Their clients went before they were answered. */
  readonly left: number;
  readonly events: number;
  readonly begun: number;
  readonly starts: number;
  /** Failures that a fault explains, by fault and outcome. */
  readonly explained: Readonly<Record<string, number>>;
  /** Kept connections that a node closed at the moment of their reuse. */
  readonly raced: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly mostAtOnce: number;
  readonly longestIdleMs: number;
  readonly mostPassed: number;
  readonly mostLead: number;
  /** Time, over all processes, in which the machine gave a process no processor: bounds of time are longer by that. */
  readonly stalledMs: number;
  readonly findings: number;
}

export class Checker {
  /** The first ones; `count` has all. */
  readonly findings: Finding[] = [];
  count = 0;
  readonly #disturbances = new Disturbances();
  readonly #book = new SlotBook();
  readonly #report = (finding: Finding): void => {
    if (this.count++ < FINDINGS_MAX) this.findings.push(finding);
  };
  readonly #answers = new Answers(this.#disturbances, this.#report);
  readonly #limits = new Limits(this.#report);
  readonly #idle = new IdleSlots(this.#book, this.#disturbances, this.#report);
  readonly #order = new Order(this.#disturbances, this.#report);
  readonly #places = new Places(this.#disturbances, this.#report);
  readonly #starts = new Starts(this.#disturbances, this.#report);
  readonly #rules: readonly Rule[] = [
    this.#disturbances,
    this.#book,
    this.#answers,
    this.#limits,
    this.#idle,
    this.#order,
    this.#places,
    this.#starts,
    new Keys(this.#disturbances, this.#report),
  ];
  readonly #faults: Record<string, number> = {};
  #events = 0;

  take(line: Line): void {
    const { event } = line;
    this.#events++;
    if (event.e === 'fault') this.#faults[event.what] = (this.#faults[event.what] ?? 0) + 1;
    else if (event.e === 'full') this.#report({ rule: 'whole', text: 'the history is cut off: its file was full', lines: [line] });
    for (const rule of this.#rules) rule.take(line);
  }

  end(): Verdict {
    for (const rule of this.#rules) rule.end?.();
    const { sent, answered, left, explained, raced } = this.#answers.counts;
    return {
      requests: sent,
      answered,
      left,
      events: this.#events,
      begun: this.#limits.begun,
      starts: this.#starts.started,
      explained,
      raced,
      faults: this.#faults,
      mostAtOnce: this.#limits.most,
      longestIdleMs: Math.round(this.#idle.longestMs),
      mostPassed: this.#order.mostPassed,
      mostLead: this.#order.mostLead,
      stalledMs: Math.round(this.#disturbances.stalledMs),
      findings: this.count,
    };
  }
}
