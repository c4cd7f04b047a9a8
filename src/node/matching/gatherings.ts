import type { Lender } from './lent-slots.ts';
import type { Visit } from './visit.ts';

/** A client of another node, which has the instances of its route by relays only: it takes so many slots of one of them at once. */
export interface Errand {
  readonly cost: number;
  /** Lends its slots of the lender on to that node. False: it can't. */
  deliver(lender: Lender): boolean;
  /** It is over: no instance here can have more than `most` together. */
  refuse(most: number): void;
}

/** A held client that waits aside until one instance has enough idle slots for it. */
export interface HeldGathering {
  readonly visit: Visit;
  readonly errand: null;
  /** The instance that is reserved for it; null: none that could serve it is free to be. */
  lender: Lender | null;
  /** The directory was told that it gathers, or that it does not; null: nothing yet. */
  said: boolean | null;
}

/** The same for a client of another node. Its instance stays reserved until that node says that it has what it wants. */
export interface ErrandGathering {
  readonly visit: null;
  readonly errand: Errand;
  lender: Lender | null;
  /** Slots were lent on for it, and are not again before: performance.now(). */
  restsUntil: number;
}

export type Gathering = HeldGathering | ErrandGathering;

/** Those of one route, in the order in which their turns came. */
export class Gatherings {
  readonly #all: Gathering[] = [];
  readonly #freed: () => void;

  /** `freed`: the idle slots of an instance are for everybody again. */
  constructor(freed: () => void) {
    this.#freed = freed;
  }

  get size(): number {
    return this.#all.length;
  }

  get all(): readonly Gathering[] {
    return [...this.#all];
  }

  add(visit: Visit): HeldGathering {
    const gathering: HeldGathering = { visit, errand: null, lender: null, said: null };
    this.#all.push(gathering);
    return gathering;
  }

  addErrand(errand: Errand): void {
    this.#all.push({ visit: null, errand, lender: null, restsUntil: Number.NEGATIVE_INFINITY });
  }

  /** The client is served, or gone. */
  end(visit: Visit): void {
    if (!this.#remove((one) => one.visit === visit)) return;
    // It may come back, when its stream fails.
    if (visit.ask?.gathers === true) visit.ask = { ...visit.ask, gathers: false };
  }

  /** The other node has what it wants, or wants it no longer. */
  endErrand(errand: Errand): void {
    this.#remove((one) => one.errand === errand);
  }

  #remove(is: (one: Gathering) => boolean): boolean {
    const at = this.#all.findIndex(is);
    const [ended] = at === -1 ? [] : this.#all.splice(at, 1);
    if (ended !== undefined) this.letGo(ended);
    return ended !== undefined;
  }

  /** Its instance is for everybody again. */
  letGo(gathering: Gathering): void {
    const { lender } = gathering;
    gathering.lender = null;
    if (lender === null) return;
    lender.gathersFor = undefined;
    lender.link.gather(0);
    this.#freed();
  }

  /** The instance is gone. */
  lost(lender: Lender): void {
    for (const gathering of this.#all) if (gathering.lender === lender) this.letGo(gathering);
  }

  /** All who are held here wait for their turns again. */
  clear(): void {
    for (const { visit } of this.all) if (visit !== null) this.#remove((one) => one.visit === visit);
  }
}
