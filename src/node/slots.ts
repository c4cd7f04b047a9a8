import type { NodeLink } from '../link/node-link.ts';

/** One instance as this node sees it: the link on which it lends slots. */
export interface Lender {
  readonly instance: string;
  /** Start time: larger is newer. */
  readonly seq: number;
  readonly concurrency: number;
  readonly startId?: string;
  /** The link comes from another node that relays for the instance: its slots can only be given back. */
  readonly relayed: boolean;
  readonly link: NodeLink;
}

/** The lenders of one route, newest instance first, so that load packs onto the newest and the older ones go idle and leave. */
export class Slots {
  readonly lenders: Lender[] = [];

  add(lender: Lender): void {
    let at = this.lenders.findIndex((other) => other.seq < lender.seq);
    if (at === -1) at = this.lenders.length;
    this.lenders.splice(at, 0, lender);
  }

  remove(lender: Lender): void {
    const at = this.lenders.indexOf(lender);
    if (at !== -1) this.lenders.splice(at, 1);
  }

  /** The newest instance that has an idle slot, or with `spread` the one that has most of them. */
  choose(balance: 'newest' | 'spread'): Lender | null {
    let best: Lender | null = null;
    for (const lender of this.lenders) {
      if (lender.link.idle === 0) continue;
      if (balance === 'newest') return lender;
      if (best === null || lender.link.idle > best.link.idle) best = lender;
    }
    return best;
  }

  /** Idle slots that may be moved to another node. */
  get movable(): number {
    let idle = 0;
    for (const lender of this.lenders) if (!lender.relayed) idle += lender.link.idle;
    return idle;
  }

  get active(): number {
    let active = 0;
    for (const lender of this.lenders) active += lender.link.active;
    return active;
  }
}
