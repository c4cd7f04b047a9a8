/** Acts when the limit of an instance moves, or slots are wanted together: more are lent, and those beyond it, or elsewhere, are called back. */
import { guard } from '../boundary.ts';
import type { Gathers } from './gathers.ts';
import type { LinkedNode } from './linked-node.ts';
import type { Slots } from './slots.ts';

/** Between two looks at a limit that moves: an application that changes its mind all the time costs no more frames than this allows. */
const GAP_MS = 5;

export interface SurplusOptions {
  readonly slots: Slots;
  readonly gathers: Gathers;
  /** All links, the home node's included. */
  readonly links: () => readonly LinkedNode[];
  /** Lends what lies at home. */
  readonly lend: () => void;
}

export class Surplus {
  readonly #options: SurplusOptions;
  #movedAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SurplusOptions) {
    this.#options = options;
  }

  /** The limit is another one. Slots follow now, or at the end of the gap. Meanwhile the pool keeps the limit. */
  limitMoved(): void {
    this.#movedAt = performance.now();
    this.#lookSoon();
  }

  /** A node wants slots together, or no longer. */
  gather(): void {
    this.#lookSoon();
  }

  /** Slots have come home. While the limit is moving they wait for the next look: otherwise they would go to and fro with each frame. */
  slotsHome(): void {
    if (performance.now() < this.#movedAt + GAP_MS) this.#lookSoon();
    else this.#follow();
  }

  #lookSoon(): void {
    if (this.#timer !== null) return;
    const waitMs = this.#lookedAt + GAP_MS - performance.now();
    if (waitMs <= 0) this.#look();
    else this.#timer = setTimeout(this.#lookLate, waitMs);
  }

  /**
   * Calls back what is out beyond the limit and was not called back yet: idle slots first, wherever they lie, then those in use, which come
   * home as their streams end.
   */
  #recall(): void {
    const { slots, gathers, links } = this.#options;
    const { node, missing } = gathers;
    if (slots.surplus + missing === 0) return;
    const all = links();
    let left = slots.surplus + missing - slots.moving;
    for (const { recalled } of all) left -= recalled;
    const others = node === null ? all : all.filter((linked) => linked !== node);
    for (const linked of others) if (left > 0) left -= linked.recall(Math.min(left, linked.idle));
    for (const linked of others) if (left > 0) left -= linked.recall(left);
    // The limit allows no more than is there.
    if (left > missing) node?.recall(left - missing);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #look(): void {
    this.#lookedAt = performance.now();
    this.#follow();
  }

  #follow(): void {
    this.#options.lend();
    this.#recall();
  }

  readonly #lookLate = guard('timer', () => {
    this.#timer = null;
    this.#look();
  });
}
