/**
 * Requests that take several slots, all of one instance and all at once.
 *
 * One whose turn has come, and for which no instance has enough idle slots here, waits aside and reserves one instance: that instance's idle slots
 * are kept for it, and the linker brings those that lie at other nodes. Meanwhile other instances serve those who come behind it. So it is overtaken
 * only where it could not have been served, and its wait ends with the requests that its instance has now. A client reserves one instance, and an
 * instance is reserved for one client here, while its linker brings slots together for one node after the other: no two hold a half each.
 */
import type { Cluster } from '../../cluster/cluster.ts';
import { PullproxyError } from '../../errors.ts';
import type { Gathering } from './gatherings.ts';
import type { Holds } from './holds.ts';
import type { Lender } from './lent-slots.ts';
import type { Route } from './route.ts';
import type { Visit } from './visit.ts';

/** Made once, as those of holds.ts are. */
const TOO_COSTLY = new PullproxyError('too_costly');
/** An instance whose linker has said that it can't have so many slots is not asked again for so long. */
const AT_MOST_FOR_MS = 1_000;

export interface GathererEvents {
  serve(visit: Visit, lender: Lender, route: Route): void;
  /** `count` of the lender's slots are lent on to other nodes, and wanted back. */
  wantBack(lender: Lender, count: number): void;
}

export class Gatherer {
  readonly #cluster: Pick<Cluster, 'idle'>;
  readonly #holds: Holds;
  readonly #events: GathererEvents;

  constructor(cluster: Pick<Cluster, 'idle'>, holds: Holds, events: GathererEvents) {
    this.#cluster = cluster;
    this.#holds = holds;
    this.#events = events;
  }

  /** More than any instance can have, as far as all of them are known: it is refused. Returns whether it was. */
  refuseTooCostly(visit: Visit, route: Route): boolean {
    const { cost } = visit;
    if (cost === 1 || route.largest === null || cost <= route.largest) return false;
    if (route.slots.lenders.some((lender) => !lender.relayed && mostOf(lender) >= cost)) return false;
    this.#holds.refuse(visit, TOO_COSTLY);
    return true;
  }

  /**
   * Its turn has come. False: no instance is free to be reserved, and it keeps its turn, so that shares and ages count among those that take several
   * slots. It gives its turn up where a slot would lie idle otherwise: those behind it may be able to use that one.
   */
  setAside(visit: Visit, route: Route): boolean {
    const lender = this.#choose(visit, route);
    if (lender === null && !route.hasIdle) {
      route.rematch.within(AT_MOST_FOR_MS, performance.now());
      return false;
    }
    this.#holds.pay(visit, route);
    route.held.setAside(visit);
    this.#reserve(route.gatherings.add(visit), lender, route);
    return true;
  }

  /** Serves those for whom there is enough now. */
  look(route: Route): void {
    /** For so many slots no instance is free: one that takes as many or more needs no look. */
    let inVain = Number.POSITIVE_INFINITY;
    for (const gathering of route.gatherings.all) {
      if (route.isPaused) return;
      const { visit } = gathering;
      if (visit.isTooLate(performance.now())) this.#holds.refuseTooLate(visit);
      else if (gathering.lender !== null) this.#serve(gathering, route);
      else if (this.refuseTooCostly(visit, route)) continue;
      else if (visit.cost >= inVain) this.#say(gathering, route, hasRelaysOnly(route));
      else if (!this.#serve(gathering, route)) {
        this.#reserve(gathering, this.#choose(visit, route), route);
        if (gathering.lender === null) inVain = visit.cost;
      }
    }
  }

  /** The lender can't have more than `count` slots together. `look` follows. */
  atMost(route: Route, lender: Lender, count: number): void {
    const now = performance.now();
    lender.atMost = { count, until: now + AT_MOST_FOR_MS };
    for (const gathering of route.gatherings.all) {
      if (gathering.lender === lender && gathering.visit.cost > count) route.gatherings.letGo(gathering);
    }
  }

  #serve(gathering: Gathering, route: Route): boolean {
    const { visit, lender } = gathering;
    const isThere = lender !== null && lender.link.idle >= visit.cost;
    const chosen = isThere ? lender : route.slots.choose(route.settings.balance, visit.avoids, visit.cost);
    if (chosen === null) return false;
    // Its linker is to hear of the stream before it hears that nothing is gathered any more.
    if (lender !== null) lender.gathersFor = undefined;
    gathering.lender = null;
    this.#holds.served(visit, route, performance.now(), chosen.readyAt);
    this.#events.serve(visit, chosen, route);
    lender?.link.gather(0);
    return true;
  }

  /** `lender`: the instance that is to be; null: none is free. */
  #reserve(gathering: Gathering, lender: Lender | null, route: Route): void {
    const { visit } = gathering;
    if (lender === null) {
      this.#say(gathering, route, hasRelaysOnly(route));
      route.rematch.within(AT_MOST_FOR_MS, performance.now());
      return;
    }
    gathering.lender = lender;
    lender.gathersFor = visit;
    this.#say(gathering, route, true);
    this.#cluster.idle(route.name, route.movable, route.slots.active);
    const here = lender.link.idle + lender.link.active;
    lender.link.gather(visit.cost);
    if (here < visit.cost) this.#events.wantBack(lender, visit.cost - here);
  }

  /** `gathers`: it needs no slot of another node. The directory hears what it has not heard, and that the visit has paid. */
  #say(gathering: Gathering, route: Route, gathers: boolean): void {
    const { visit, said } = gathering;
    if (visit.ask === null || said === gathers) return;
    gathering.said = gathers;
    visit.ask = { ...visit.ask, gathers };
    this.#holds.asksAnew(visit, route);
  }

  /** The instance that lacks least of those that could have so many, one that fails only if there is no other. */
  #choose(visit: Visit, route: Route): Lender | null {
    const now = performance.now();
    let best: Lender | null = null;
    let bestRank = Number.NEGATIVE_INFINITY;
    for (const lender of route.slots.lenders) {
      if (!mayGather(lender, visit.cost, now)) continue;
      const isDoubtful = lender.trust?.state === 'suspect' || lender.instance === visit.avoids || lender.concurrency < visit.cost;
      const rank = lender.link.idle - (isDoubtful ? Number.MAX_SAFE_INTEGER : 0);
      if (rank > bestRank) [best, bestRank] = [lender, rank];
    }
    return best;
  }
}

/** A relay has slots one by one: to have them come here would be of no use to a request that takes several. */
function hasRelaysOnly({ slots: { lenders, relayed } }: Route): boolean {
  return lenders.length > 0 && lenders.length === relayed.length;
}

/** As many slots as the instance may ever have: nobody moves a limit that was set at its start. */
function mostOf({ concurrency, concurrencyMax, setBy }: Lender): number {
  return setBy === undefined || setBy === 'flag' ? concurrency : concurrencyMax;
}

function mayGather({ relayed, link, concurrency, concurrencyMax, gathersFor, atMost }: Lender, cost: number, now: number): boolean {
  if (relayed || link.isDismissed || gathersFor !== undefined) return false;
  if (atMost !== undefined && atMost.count < cost && now < atMost.until) return false;
  // A node hears of limits at home only, and its linker knows better.
  return (link.countsCosts ? concurrencyMax : concurrency) >= cost;
}
