/**
 * Requests that take several slots, all of one instance and all at once.
 *
 * One whose turn has come, and for which no instance has enough idle slots here, waits aside and reserves one instance: that instance's idle slots
 * are kept for it, and the linker brings those that lie at other nodes. Meanwhile other instances serve those who come behind it. So it is overtaken
 * only where it could not have been served, and its wait ends with the requests that its instance has now. A client reserves one instance, and an
 * instance is reserved for one client here, while its linker brings slots together for one node after the other: no two hold a half each.
 *
 * A node that has instances by relays only reserves a relay in the same way, and the node at its other end gathers for it: there its client waits
 * in the same line as those who are held there, as an errand, and has its slots lent on to it all at once.
 */
import type { Cluster } from '../../cluster/cluster.ts';
import { PullproxyError } from '../../errors.ts';
import { CONCURRENCY_MAX } from '../../link/hello.ts';
import type { ErrandGathering, Gathering, HeldGathering } from './gatherings.ts';
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
    const lender = choose(visit, visit.avoids, route);
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
      if (visit === null) this.#carry(gathering, route);
      else if (visit.isTooLate(performance.now())) this.#holds.refuseTooLate(visit);
      else if (gathering.lender !== null) this.#serve(gathering, route);
      else if (this.refuseTooCostly(visit, route)) continue;
      else if (visit.cost >= inVain) this.#say(gathering, route, hasOldRelaysOnly(route));
      else if (!this.#serve(gathering, route)) {
        this.#reserve(gathering, choose(visit, visit.avoids, route), route);
        if (gathering.lender === null) inVain = visit.cost;
      }
    }
  }

  /** The lender can't have more than `count` slots together. `look` follows. */
  atMost(route: Route, lender: Lender, count: number): void {
    const now = performance.now();
    lender.atMost = { count, until: now + AT_MOST_FOR_MS };
    for (const gathering of route.gatherings.all) {
      if (gathering.lender === lender && (gathering.visit ?? gathering.errand).cost > count) route.gatherings.letGo(gathering);
    }
  }

  /** Lends the slots of an errand on where enough are idle at one instance, and reserves one until then. */
  #carry(gathering: ErrandGathering, route: Route): void {
    const { errand, lender } = gathering;
    const now = performance.now();
    // It has them, or says so in a moment, or they come back.
    if (now < gathering.restsUntil) return;
    const isThere = lender !== null && lender.link.idle >= errand.cost;
    const chosen = isThere ? lender : (withIdle(errand.cost, route) ?? lender ?? choose(errand, null, route, true));
    if (chosen === null) {
      const most = mostTogether(route, now);
      if (most >= errand.cost) return;
      route.gatherings.endErrand(errand);
      errand.refuse(most);
      return;
    }
    if (chosen !== lender) {
      route.gatherings.letGo(gathering);
      this.#bringTo(chosen, gathering, errand, route);
    }
    if (chosen.link.idle < errand.cost) return;
    gathering.restsUntil = now + AT_MOST_FOR_MS;
    route.rematch.within(AT_MOST_FOR_MS, now);
    if (errand.deliver(chosen)) return;
    route.gatherings.endErrand(errand);
    errand.refuse(0);
  }

  #serve(gathering: HeldGathering, route: Route): boolean {
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
  #reserve(gathering: HeldGathering, lender: Lender | null, route: Route): void {
    if (lender === null) {
      this.#say(gathering, route, hasOldRelaysOnly(route));
      route.rematch.within(AT_MOST_FOR_MS, performance.now());
      return;
    }
    this.#say(gathering, route, true);
    this.#bringTo(lender, gathering, gathering.visit, route);
  }

  #bringTo(lender: Lender, gathering: Gathering, client: { readonly cost: number }, route: Route): void {
    gathering.lender = lender;
    lender.gathersFor = client;
    this.#cluster.idle(route.name, route.movable, route.slots.active);
    lender.link.gather(client.cost);
    const { own } = lender.link;
    if (own < client.cost) this.#events.wantBack(lender, client.cost - own);
  }

  /** `gathers`: it needs no slot of another node. The directory hears what it has not heard, and that the visit has paid. */
  #say(gathering: HeldGathering, route: Route, gathers: boolean): void {
    const { visit, said } = gathering;
    if (visit.ask === null || said === gathers) return;
    gathering.said = gathers;
    visit.ask = { ...visit.ask, gathers };
    this.#holds.asksAnew(visit, route);
  }
}

/** The instance that lacks least of those that could have so many: by a relay, or one that fails, only if there is no other. */
function choose({ cost }: { readonly cost: number }, avoids: string | null, route: Route, isErrand = false): Lender | null {
  const now = performance.now();
  let best: Lender | null = null;
  let bestRank = Number.NEGATIVE_INFINITY;
  for (const lender of route.slots.lenders) {
    if (lender.gathersFor !== undefined || mostNow(lender, now) < cost || (isErrand && lender.relayed)) continue;
    const isDoubtful = lender.trust?.state === 'suspect' || lender.instance === avoids || lender.concurrency < cost;
    const rank = lender.link.idle - (lender.relayed ? CONCURRENCY_MAX : 0) - (isDoubtful ? 2 * CONCURRENCY_MAX : 0);
    if (rank > bestRank) [best, bestRank] = [lender, rank];
  }
  return best;
}

/** An instance with a link here that has so many idle slots. */
function withIdle(cost: number, { slots, settings }: Route): Lender | null {
  const lender = slots.choose(settings.balance, null, cost);
  return lender?.relayed === true ? null : lender;
}

/** A relay of an earlier version has slots one by one: to have them come here would be of no use to a request that takes several. */
function hasOldRelaysOnly({ slots: { lenders, relayed } }: Route): boolean {
  return lenders.length > 0 && lenders.length === relayed.length && !relayed.some(({ link }) => link.countsCosts);
}

/** As many slots as the instance may ever have: nobody moves a limit that was set at its start. */
function mostOf({ concurrency, concurrencyMax, setBy }: Lender): number {
  return setBy === undefined || setBy === 'flag' ? concurrency : concurrencyMax;
}

/** As many slots as may come together here, as far as is known. */
function mostNow({ relayed, link, concurrency, concurrencyMax, atMost }: Lender, now: number): number {
  if (link.isDismissed || (relayed && !link.countsCosts)) return 0;
  // A node hears of limits at home only, and its linker knows better.
  const most = link.countsCosts ? concurrencyMax : concurrency;
  return atMost !== undefined && now < atMost.until ? Math.min(most, atMost.count) : most;
}

function mostTogether({ slots: { lenders } }: Route, now: number): number {
  return lenders.reduce((most, lender) => (lender.relayed ? most : Math.max(most, mostNow(lender, now))), 0);
}
