/**
 * Nodes that want several slots at once, each for one request. Their slots are brought together for one node after the other, in the order in
 * which they asked, and those that lie at home go there first. So two of them never hold a half each.
 */
import type { LinkedNode } from './linked-node.ts';
import type { Slots } from './slots.ts';

export class Gathers {
  readonly #slots: Slots;
  /** How many each node wants. */
  readonly #wanted = new Map<LinkedNode, number>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** 0: no longer. A node keeps its turn when it asks for another number. */
  want(linked: LinkedNode, count: number): void {
    if (count > 0) this.#wanted.set(linked, count);
    else this.#wanted.delete(linked);
  }

  /** A node that wants more than `most` can't have it, and hears so. */
  refuseAbove(most: number): void {
    for (const [linked, count] of this.#wanted) {
      if (count <= most) continue;
      this.#wanted.delete(linked);
      linked.gathersAtMost(most);
    }
  }

  /** Whose turn it is; null: nobody wants any. */
  get node(): LinkedNode | null {
    for (const linked of this.#wanted.keys()) return linked;
    return null;
  }

  /** How many it still lacks, without those that were called back from it. */
  get missing(): number {
    for (const [{ lent, recalled }, count] of this.#wanted) return Math.max(0, count - lent + recalled);
    return 0;
  }

  /** What lies at home goes there. */
  lend(): void {
    if (this.#wanted.size > 0) this.node?.grant(Math.min(this.missing, this.#slots.atHome));
  }
}
