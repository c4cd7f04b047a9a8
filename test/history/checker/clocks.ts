/**
 * Clocks of several machines. Processes with the same `clock` share CLOCK_MONOTONIC and need nothing. For others it follows from what happened before what:
 * a request is sent before a node holds or opens it, which is before its application has it, which is before its client has the answer. Each such
 * pair bounds how far two clocks are apart; the middle of what is left is taken, and half of its width is the uncertainty.
 */
import type { ProcessBegan } from '../events.ts';
import type { Line } from './line.ts';

/** So many requests say enough about clocks. */
const COMPARED_MAX = 100_000;

interface Bounds {
  least: number;
  most: number;
}

export class Offsets {
  /** The offset of each clock against that of the clients. */
  readonly #bounds = new Map<string, Bounds>();
  readonly #asked = new Map<string, { readonly sent: number; got: number }>();
  #own: string | null = null;

  /** The first pass: what clients say. */
  learn({ event, by }: Line): void {
    if (event.e === 'send' && this.#asked.size < COMPARED_MAX) {
      this.#own = by.clock;
      this.#asked.set(event.id, { sent: event.t, got: Number.POSITIVE_INFINITY });
    } else if (event.e === 'got' && event.status === 200) {
      const asked = this.#asked.get(event.id);
      if (asked !== undefined) asked.got = event.t;
    }
  }

  /** The second: what others say of the same requests, none of which was before it was sent, or after it was answered. */
  compare({ event, by }: Line): void {
    if (by.clock === this.#own || !(event.e === 'held' || event.e === 'opened' || event.e === 'begin' || event.e === 'end')) return;
    const asked = this.#asked.get(event.id);
    if (asked === undefined) return;
    const bounds = this.#bounds.get(by.clock) ?? { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY };
    bounds.least = Math.max(bounds.least, asked.sent - event.t);
    bounds.most = Math.min(bounds.most, asked.got - event.t);
    this.#bounds.set(by.clock, bounds);
  }

  /** To be added to the process' times. */
  of({ clock }: ProcessBegan): number {
    const { least, most } = this.#bounds.get(clock) ?? { least: 0, most: 0 };
    return Number.isFinite(most) && Number.isFinite(least) ? Math.round((least + most) / 2) : 0;
  }

  /** The largest of all clocks, in ms; 0 where there is one clock. */
  get uncertaintyMs(): number {
    let widest = 0;
    for (const { least, most } of this.#bounds.values()) widest = Math.max(widest, (most - least) / 2_000);
    return Math.round(widest);
  }
}
