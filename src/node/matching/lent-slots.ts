import type { InstanceReport, LimitSetter } from '../../link/instance-report.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Birth } from './cold-start.ts';
import type { Trust } from './trust.ts';

/** One instance as this node sees it: the link on which it lends slots. */
export interface Lender {
  readonly instance: string;
  /** Larger is newer: the number that the directory has given it. */
  seq: number;
  /** The directory has yet to number it: until then it stands before all that are here. */
  unnumbered?: boolean;
  /** Its limit, as it said last, and who has set it. */
  concurrency: number;
  setBy?: LimitSetter;
  /** It may lend no more than this, whatever its limit is. */
  readonly concurrencyMax: number;
  /** The changes of its limit that were counted already. */
  counted?: Pick<InstanceReport, 'changes' | 'unusable'>;
  readonly startId?: string;
  /** The linker's version. */
  readonly version?: string;
  /** The link comes from another node that relays for the instance: its slots can only be given back. */
  readonly relayed: boolean;
  /** Absent: nothing is to be proved. */
  readonly trust?: Trust;
  /** The client for whom its idle slots are kept until there are enough, here or by the node that relays; absent: they are for everybody. */
  gathersFor?: object | undefined;
  /** It can't have more slots together than `count`, until `until` (performance.now()). */
  atMost?: { readonly count: number; readonly until: number };
  /** When its application was ready for the first time, by performance.now(): a client that came later did not wait for its start. */
  readonly readyAt?: number;
  /** Absent when it is not known whether this instance was started for a client. */
  readonly birth?: Birth;
  readonly link: NodeLink;
}

/** Lower is better: a new instance proves itself with one request before it gets more than others could take, see trust.ts. */
function rankOf({ instance, trust, link }: Lender, avoids: string | null): number {
  if (instance === avoids) return 3;
  if (trust === undefined || trust.state === 'proven') return 0;
  if (trust.state === 'suspect') return 2;
  return link.active === 0 ? 0 : 1;
}

/** Slots that are kept for one client are no one else's. Those of a relay are not kept here: its node keeps them. */
function hasFor({ link, gathersFor, relayed }: Lender, cost: number): boolean {
  if (link.idle < cost) return false;
  return relayed ? cost === 1 || link.countsCosts : gathersFor === undefined;
}

/** The lenders of one route, newest instance first, so that load packs onto the newest and the older ones go idle and leave. */
export class LentSlots {
  readonly lenders: Lender[] = [];
  readonly relayed: Lender[] = [];
  /** No lender before this one has an idle slot: a thousand busy instances are not looked at for each request. */
  #firstIdle = 0;

  add(lender: Lender): void {
    const at = this.#placeAfter(lender.seq);
    this.lenders.splice(at, 0, lender);
    if (lender.relayed) this.relayed.push(lender);
    this.#firstIdle = Math.min(this.#firstIdle, at);
  }

  /** One that is not numbered is newer than all that are here. */
  get nextSeq(): number {
    return (this.lenders[0]?.seq ?? 0) + 1;
  }

  renumber(lender: Lender, seq: number): void {
    this.remove(lender);
    lender.seq = seq;
    lender.unnumbered = false;
    this.add(lender);
  }

  remove(lender: Lender): void {
    const at = this.lenders.indexOf(lender);
    if (at === -1) return;
    this.lenders.splice(at, 1);
    if (at < this.#firstIdle) this.#firstIdle--;
    if (lender.relayed) this.relayed.splice(this.relayed.indexOf(lender), 1);
  }

  /** The lender's link has more idle slots than before. To be said before the next `choose`. */
  refilled(lender: Lender): void {
    const first = this.lenders[this.#firstIdle];
    if (first !== undefined && first.seq > lender.seq) return;
    let at = this.#placeAfter(lender.seq) - 1;
    while (at > 0 && this.lenders[at] !== lender && this.lenders[at]?.seq === lender.seq) at--;
    this.#firstIdle = Math.min(this.#firstIdle, Math.max(0, at));
  }

  /** The newest instance that has `cost` idle slots, or with `spread` the one that has most of them; unproven ones last, and then `avoids`. */
  choose(balance: 'newest' | 'spread', avoids: string | null = null, cost = 1): Lender | null {
    const { lenders } = this;
    let at = this.#firstIdle;
    while (at < lenders.length && (lenders[at] as Lender).link.idle === 0) at++;
    this.#firstIdle = at;
    while (at < lenders.length && !hasFor(lenders[at] as Lender, cost)) at++;
    let best = lenders[at] ?? null;
    if (best === null) return null;
    let bestRank = rankOf(best, avoids);
    if (balance === 'newest' && bestRank === 0) return best;
    for (at++; at < lenders.length; at++) {
      const lender = lenders[at] as Lender;
      if (!hasFor(lender, cost)) continue;
      const rank = rankOf(lender, avoids);
      const better = rank < bestRank || (balance === 'spread' && rank === bestRank && lender.link.idle > best.link.idle);
      if (better) [best, bestRank] = [lender, rank];
      if (balance === 'newest' && bestRank === 0) break;
    }
    return best;
  }

  /** The instance's lender, if it has `cost` idle slots for everybody, and no other instance is to be tried first. */
  idleOf(instance: string, avoids: string | null, cost: number): Lender | null {
    return this.findIdle((lender) => lender.instance === instance && hasFor(lender, cost) && rankOf(lender, avoids) === 0);
  }

  /** The newest lender with an idle slot that is looked for. */
  findIdle(isIt: (lender: Lender) => boolean): Lender | null {
    for (let at = this.#firstIdle; at < this.lenders.length; at++) {
      const lender = this.lenders[at] as Lender;
      if (lender.link.idle > 0 && isIt(lender)) return lender;
    }
    return null;
  }

  /** Idle slots that may be moved to another node; `withSuspects`: also of instances that fail. Looks at every lender that may have some. */
  movable(withSuspects: boolean): number {
    let idle = 0;
    for (let at = this.#firstIdle; at < this.lenders.length; at++) {
      const { relayed, link, trust, gathersFor } = this.lenders[at] as Lender;
      if (!relayed && gathersFor === undefined && (withSuspects || trust?.state !== 'suspect')) idle += link.idle;
    }
    return idle;
  }

  get active(): number {
    let active = 0;
    for (const lender of this.lenders) active += lender.link.active;
    return active;
  }

  /** Where a lender of this age belongs: behind all that are newer or as old. */
  #placeAfter(seq: number): number {
    let from = 0;
    let to = this.lenders.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.lenders[middle] as Lender).seq >= seq) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
