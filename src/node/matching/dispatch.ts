/**
 * The main path. A visit finds an idle slot, or is held; a slot that becomes idle finds the held visit that is next, or lies idle. All of it is
 * synchronous: nothing else can happen between looking and taking.
 */
import { caught, guard } from '../../boundary.ts';
import type { Cluster, InstanceHome } from '../../cluster/cluster.ts';
import { PullproxyError } from '../../errors.ts';
import { Gatherer } from './gatherer.ts';
import type { Errand } from './gatherings.ts';
import type { Holds } from './holds.ts';
import type { Lender } from './lent-slots.ts';
import { Preferring } from './preferring.ts';
import { askOf } from './queue-rules.ts';
import type { RequestBuffers } from './request-buffers.ts';
import type { Route } from './route.ts';
import { suspectLeftMs } from './route-policies.ts';
import { Sleepers } from './sleepers.ts';
import type { Visit } from './visit.ts';

const monotonicMs = (): number => performance.now();

export interface DispatcherEvents {
  /** A client wants an instance, and is not even held. */
  startNeeded(route: string): void;
  /** `count` of the lender's slots are lent on to other nodes, and wanted back for one request. */
  wantBack(lender: Lender, count: number): void;
}

const NO_EVENTS: DispatcherEvents = { startNeeded: () => {}, wantBack: () => {} };

export class Dispatcher {
  readonly #cluster: Cluster;
  readonly #holds: Holds;
  readonly #sleepers: Sleepers;
  readonly #events: DispatcherEvents;
  /** Null: a request has a slot as soon as there is one, wherever its body is. */
  readonly #buffers: RequestBuffers | null;
  readonly #gatherer: Gatherer;
  readonly #preferring: Preferring;
  /** Routes whose number of idle slots has changed in this turn; one may be there several times. */
  #changed: Route[] = [];
  /** The list of the turn before, to be used again. */
  #spare: Route[] = [];
  #draining = false;

  constructor(cluster: Cluster, holds: Holds, events: DispatcherEvents = NO_EVENTS, buffers: RequestBuffers | null = null) {
    this.#cluster = cluster;
    this.#holds = holds;
    this.#sleepers = new Sleepers(cluster, holds);
    this.#events = events;
    this.#buffers = buffers;
    this.#gatherer = new Gatherer(cluster, holds, {
      serve: (visit, lender, route) => this.#serve(visit, lender, route),
      wantBack: (lender, count) => events.wantBack(lender, count),
    });
    this.#preferring = new Preferring(cluster, holds, {
      serve: (visit, lender, route) => this.#serve(visit, lender, route),
      admit: (visit, route) => this.admit(visit, route),
      isKeptBack: (lender, route, visit, heldMs) => this.#isKeptBack(lender, route, visit, heldMs),
      wantBack: (lender, count) => events.wantBack(lender, count),
    });
  }

  /** A visit has arrived: it is served now, held, or refused. */
  admit(visit: Visit, route: Route): void {
    try {
      this.#admit(visit, route);
    } catch (error) {
      caught(visit, error);
    }
  }

  #admit(visit: Visit, route: Route): void {
    visit.admitted(route);
    if (route.rules !== null) visit.ask ??= askOf(route.rules, visit.word);
    if (visit.cost > 1 && this.#gatherer.refuseTooCostly(visit, route)) return;
    if (this.#buffers !== null && !this.#draining && this.#waitsForBody(visit, route, this.#buffers)) return;
    if (visit.isTooLate(monotonicMs())) {
      this.#holds.refuseTooLate(visit);
      return;
    }
    if (route.isPaused) {
      if (this.#holds.isFull(visit, route)) this.#holds.refuseFull(visit);
      else this.#hold(visit, route);
      return;
    }
    if (route.affinity !== null && !this.#draining && this.#preferring.take(visit, route, route.affinity, monotonicMs())) return;
    const lender = route.held.next === null ? this.#choose(route, 0, visit) : null;
    if (lender !== null && !this.#isKeptBack(lender, route, visit, 0)) this.#serve(visit, lender, route);
    else if (lender === null && !visit.quiet && route.starts.leftMs(monotonicMs) > 0) this.#sendAway(visit, route);
    else if (lender === null && this.#refusesOverload(visit, route)) return;
    else if (!this.#holds.isFull(visit, route) || this.#holds.makeRoom(visit, route)) this.#hold(visit, route);
    // A slot that is kept back is better than none.
    else if (lender !== null) this.#serve(visit, lender, route);
    else this.#holds.refuseFull(visit);
  }

  #waitsForBody(visit: Visit, route: Route, buffers: RequestBuffers): boolean {
    return visit.collectBody(buffers, () => this.admit(visit, route));
  }

  /** Where clients wait in several lines, one that comes may be next: they are refused by their waits alone. */
  #refusesOverload(visit: Visit, route: Route): boolean {
    const { crowds, order, held, isCold } = route;
    if (crowds === null || isCold || visit.isTimeless) return false;
    const now = monotonicMs();
    if (held.size === 0) crowds.empty(visit, now);
    if (order !== null || !crowds.refuses(visit, held.size, now)) return false;
    this.#holds.refuseOverload(visit, route, crowds);
    return true;
  }

  #hold(visit: Visit, route: Route): void {
    this.#holds.hold(visit, route, route.settings.maxHeld);
    if (visit.cost > 1) this.match(route);
    if (visit.quiet) this.#sleepers.look(route);
  }

  /** A visit whose stream failed before anything came of it goes back to its original place. It was accepted: no limit refuses it now. */
  retry(visit: Visit): void {
    const route = visit.route as Route;
    visit.isRetried = true;
    // Not in this turn of the event loop: what broke its link may have broken others, and they are only about to be heard of.
    setImmediate(guard('visit', () => this.match(route)));
    this.#holds.hold(visit, route, Number.MAX_SAFE_INTEGER);
  }

  /** Slots of the route may be idle here: they serve who is held, in the order of the queue. */
  match(route: Route): void {
    if (route.gatherings.size > 0) this.#gatherer.look(route);
    if (route.affinity !== null && route.affinity.waiting.size > 0) this.#preferring.look(route, route.affinity);
    for (let visit = route.held.next; visit !== null && !route.isPaused; visit = route.held.next) {
      const now = monotonicMs();
      if (visit.isTooLate(now)) {
        this.#holds.refuseTooLate(visit);
        continue;
      }
      const lender = this.#choose(route, now - visit.arrivedAt, visit);
      if (lender === null && visit.cost > 1 && this.#setAside(visit, route, now)) continue;
      if (lender === null || this.#isKeptBack(lender, route, visit, now - visit.arrivedAt)) break;
      this.#holds.served(visit, route, now, lender.readyAt);
      this.#serve(visit, lender, route);
    }
    if (route.quietHeld > 0) this.#sleepers.look(route);
    // The node that lent them on may need them.
    if (route.held.next === null) for (const { link } of route.slots.relayed) link.giveBack(link.idle);
    this.slotsChanged(route);
  }

  /** The visit takes several slots, its turn has come, and no instance has so many idle. False: it waits on. */
  #setAside(visit: Visit, route: Route, now: number): boolean {
    if (this.#gatherer.refuseTooCostly(visit, route)) return true;
    const [first] = route.slots.lenders;
    if (first === undefined || this.#isKeptBack(first, route, visit, now - visit.arrivedAt)) return false;
    return this.#gatherer.setAside(visit, route);
  }

  /** The lender's linker can't bring more than `count` slots together here. */
  gathersAtMost(route: Route, lender: Lender, count: number): void {
    this.#gatherer.atMost(route, lender, count);
    this.match(route);
  }

  /** A client of another node, which reaches the route's instances by relays only, takes several slots of one. */
  errandBegins(route: Route, errand: Errand): void {
    route.gatherings.addErrand(errand);
    this.match(route);
  }

  /** An instance of the route is gone. */
  lenderGone(route: Route, lender: Lender): void {
    if (route.affinity !== null && !lender.relayed) this.#preferring.linkGone(route, route.affinity, lender.instance);
    if (route.gatherings.size === 0) return;
    route.gatherings.lost(lender);
    this.match(route);
  }

  /** No client is to wait for the instance. */
  instanceLeaves(route: Route, instance: string): void {
    if (route.affinity !== null) this.#preferring.gone(route, route.affinity, instance);
  }

  /** The ready instances of a route with affinity. */
  instancesReady(route: Route, ready: readonly InstanceHome[]): void {
    if (route.affinity !== null) this.#preferring.ready(route, route.affinity, ready);
  }

  /** The visit has waited for one instance, and takes any. */
  preferenceOver(visit: Visit, route: Route): void {
    this.#preferring.over(visit, route);
    route.affinity?.lines.tidy();
  }

  /** The cluster hears of it at the end of the turn, in which many slots may come and go. */
  slotsChanged(route: Route): void {
    if (this.#changed.length === 0) setImmediate(this.#sayIdle);
    if (this.#changed.at(-1) !== route) this.#changed.push(route);
  }

  /** So many idle slots of the route have gone to another node. When all have, none is kept back here any more. */
  handedOver(route: Route, count: number): void {
    this.slotsChanged(route);
    // One who waits alone elsewhere wants one of several: the others served on here, and it was not in vain.
    if (count > 0 && route.order !== null) route.yielding.helped();
    if (route.slots.choose('newest') === null) route.yielding.moved(monotonicMs());
  }

  /** This node leaves: from now on slots serve clients that are held here, even if older ones wait elsewhere. */
  drain(routes: Iterable<Route>): void {
    this.#draining = true;
    this.#buffers?.flush();
    for (const route of routes) {
      if (route.affinity !== null) this.#preferring.flush(route, route.affinity);
      this.match(route);
    }
  }

  /** Starts keep failing, no instance is there and none on its way: nobody waits for `forMs`. Returns whether that is news. */
  startsFail(route: Route, forMs: number): boolean {
    if (route.isPaused) return false;
    const isNews = route.starts.failed(monotonicMs(), forMs);
    for (let visit = route.held.oldest; visit !== null && route.starts.leftMs(monotonicMs) > 0; visit = route.held.oldest) {
      this.#sendAway(visit, route);
    }
    return isNews;
  }

  #serve(visit: Visit, lender: Lender, route: Route): void {
    if (visit.affinity !== null && !visit.isRetried) route.preferenceServed(visit, lender);
    try {
      visit.serve(lender);
    } catch (error) {
      caught(visit, error);
    }
    const { newest } = route.instances;
    if (newest !== null && newest !== lender.instance) this.#pullNewest(route, newest);
    this.slotsChanged(route);
  }

  /**
   * An idle slot for a client that has waited for `heldMs`. An instance whose first requests failed is not given it while another one may
   * serve it, here or at another node; after a while it is better than none.
   */
  #choose(route: Route, heldMs: number, visit: Visit): Lender | null {
    const { avoids, cost } = visit;
    const own = route.affinity === null ? null : this.#preferring.ownOf(visit, route, route.affinity);
    if (own !== null) return own;
    const lender = route.slots.choose(route.settings.balance, avoids, cost);
    if (lender?.trust?.state !== 'suspect' || !route.hasOther(lender.instance)) return lender;
    const leftMs = suspectLeftMs(heldMs);
    if (leftMs === 0) return lender;
    route.rematch.within(leftMs, monotonicMs());
    return null;
  }

  /** A client that is sent away wanted an instance too: so a start is tried again. */
  #sendAway(visit: Visit, route: Route): void {
    this.#events.startNeeded(route.name);
    const retryAfter = Math.max(1, Math.ceil(route.starts.leftMs(monotonicMs) / 1_000));
    this.#holds.refuse(visit, new PullproxyError('start_failed', undefined, { retryAfter }));
  }

  /** Otherwise the older instance that serves here would stay busy for as long as its slots lie where clients arrive. */
  #pullNewest({ name, settings, slots, newestPull }: Route, instance: string): void {
    const now = monotonicMs();
    if (!newestPull.isDue(now) || settings.balance !== 'newest') return;
    const newest = slots.lenders.find((lender) => lender.instance === instance);
    if (newest !== undefined && (newest.link.idle > 0 || newest.trust?.state === 'suspect')) return;
    newestPull.asked(now);
    const older = slots.lenders.reduce((sum, lender) => sum + (lender.instance === instance ? 0 : lender.link.active), 0);
    this.#cluster.pull(name, older, { id: instance });
  }

  /**
   * True while the lender's idle slot is not for the client that has waited for `heldMs` here, but for one at another node that goes before it, to
   * which the cluster is about to have it moved.
   */
  #isKeptBack(lender: Lender, route: Route, visit: Visit, heldMs: number): boolean {
    if (lender.relayed || this.#draining || !this.#cluster.olderElsewhere(route.name, heldMs, route.rankOf(visit))) return false;
    const now = monotonicMs();
    if (!route.yielding.keepsBack(now, route.order !== null)) return false;
    route.rematch.within(route.yielding.until - now, now);
    return true;
  }

  readonly #sayIdle = guard('timer', (): void => {
    const changed = this.#changed;
    this.#changed = this.#spare;
    this.#spare = changed;
    for (const route of changed) {
      try {
        this.#cluster.idle(route.name, route.movable, route.slots.active);
        // The command that paused the route waits for that.
        if (route.isPaused && route.slots.active === 0) this.#cluster.beatSoon();
      } catch (error) {
        caught('directory', error);
      }
    }
    changed.length = 0;
  });
}
