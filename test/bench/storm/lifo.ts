/**
 * Loaded into a node before its own code: newest first while clients have been held for 100 ms without a break, as in Facebook's adaptive LIFO
 * (Maurer, "Fail at Scale", 2015). Each node orders its own clients, and keeps no slot back for an older one elsewhere.
 */
import { ClusterMember } from '../../../src/cluster/member/member.ts';
import { HeldEntry, HeldQueue } from '../../../src/node/matching/held-queue.ts';

const FIRST_IN_FIRST_OUT_MS = 100;

class Entry extends HeldEntry<Entry> {}
type Queue = HeldQueue<Entry>;

const heldSince = new WeakMap<Queue, number>();
const insert = HeldQueue.prototype.insert;

HeldQueue.prototype.insert = function (this: Queue, entry: Entry): void {
  if (this.size === 0) heldSince.set(this, performance.now());
  insert.call(this, entry);
} as typeof insert;

Object.defineProperty(HeldQueue.prototype, 'next', {
  get(this: Queue): Entry | null {
    const isLong = performance.now() - (heldSince.get(this) ?? 0) > FIRST_IN_FIRST_OUT_MS;
    return this.size > 0 && isLong ? this.findYoungest(() => true) : this.oldest;
  },
});

ClusterMember.prototype.olderElsewhere = () => false;
