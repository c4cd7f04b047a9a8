import type { Lender } from './lent-slots.ts';
import type { Visit } from './visit.ts';

/** A held client that waits aside until one instance has enough idle slots for it. */
export interface Gathering {
  readonly visit: Visit;
  /** The instance that is reserved for it; null: none that could serve it is free to be. */
  lender: Lender | null;
  /** The directory was told that it gathers, or that it does not; null: nothing yet. */
  said: boolean | null;
}

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

  add(visit: Visit): Gathering {
    const gathering: Gathering = { visit, lender: null, said: null };
    this.#all.push(gathering);
    return gathering;
  }

  /** The client is served, or gone. */
  end(visit: Visit): void {
    const at = this.#all.findIndex((one) => one.visit === visit);
    const [ended] = at === -1 ? [] : this.#all.splice(at, 1);
    if (ended === undefined) return;
    // It may come back, when its stream fails.
    if (visit.ask?.gathers === true) visit.ask = { ...visit.ask, gathers: false };
    this.letGo(ended);
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

  /** All wait for their turns again. */
  clear(): void {
    for (const gathering of this.#all.splice(0)) this.letGo(gathering);
  }
}
