/**
 * Nobody is held while a slot of the same route lies idle anywhere, for more than half a second, or 1.5 s while nodes do not hear each other. Slots have no names, so they are counted: of an
 * instance that had `n` idle slots when the time began and has given fewer than `n` away since, at least one has lain idle all the time.
 */
import type { Disturbances } from '../disturbances.ts';
import { type Line, MS, type Report, type Rule } from '../line.ts';
import type { HeldClient, KnownInstance, SlotBook } from '../slots.ts';

export const IDLE_MS_MAX = 500;
/** The same while nodes do not hear each other: a beat comes every second. */
export const UNHEARD_MS_MAX = 1_500;
const LOOK_EVERY = 25 * MS;

interface Look {
  readonly t: number;
  /** Idle slots, and slots given away so far. */
  readonly seen: ReadonlyMap<KnownInstance, { readonly idle: number; readonly opened: number }>;
}

export class IdleSlots implements Rule {
  /** The longest time that nothing excuses. */
  longestMs = 0;
  readonly #book: SlotBook;
  readonly #disturbances: Disturbances;
  readonly #report: Report;
  readonly #looks: Look[] = [];
  readonly #said = new Set<string>();

  constructor(book: SlotBook, disturbances: Disturbances, report: Report) {
    this.#book = book;
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take({ event: { t } }: Line): void {
    const last = this.#looks.at(-1);
    if (last !== undefined && t < last.t + LOOK_EVERY) return;
    const seen = new Map([...this.#book.instances.values()].map((one) => [one, { idle: this.#book.idle(one), opened: one.opened }]));
    this.#looks.push({ t, seen });
    while (this.#looks[1] !== undefined && this.#looks[1].t < t - 20_000 * MS) this.#looks.shift();
    if (this.#book.held.size > 0) this.#look(t);
  }

  #look(now: number): void {
    for (const client of this.#book.held.values()) {
      if (client.again || this.#said.has(client.id)) continue;
      for (const one of this.#book.instances.values()) {
        if (one.route !== client.route || this.#book.idle(one) < 1) continue;
        const since = this.#idleSince(one, client.since);
        if (since !== null) this.#judge(client, one, since, now);
      }
    }
  }

  /** Since when, not before `from`, at least one and the same slot of it lies idle; null: none does. */
  #idleSince(one: KnownInstance, from: number): number | null {
    let since: number | null = null;
    let least = this.#book.idle(one);
    for (let i = this.#looks.length - 1; i >= 0; i--) {
      const { t, seen } = this.#looks[i] as Look;
      const then = seen.get(one);
      if (then === undefined) break;
      least = Math.min(least, then.idle);
      if (least < 1 || then.idle - (one.opened - then.opened) < 1) break;
      since = Math.max(t, from);
      if (t <= from) break;
    }
    return since;
  }

  #judge(client: HeldClient, one: KnownInstance, since: number, now: number): void {
    if (now - since <= IDLE_MS_MAX * MS && now - since <= this.longestMs * MS) return;
    if (this.#disturbances.disturbed(since, now)) return;
    const ms = (now - since - this.#disturbances.stalled(since, now)) / MS;
    this.longestMs = Math.max(this.longestMs, ms);
    if (ms <= (this.#disturbances.deaf(since, now) ? UNHEARD_MS_MAX : IDLE_MS_MAX)) return;
    this.#said.add(client.id);
    const text = `${client.id} is held at ${client.node} for ${Math.round(ms)} ms, while a slot of ${one.instance} lies idle`;
    this.#report({ rule: 'idle slot', text, lines: [one.line, client.line] });
  }
}
