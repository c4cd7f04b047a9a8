/**
 * The main path. A visit finds an idle slot, or is held; a slot that becomes idle finds the oldest held visit, or
 * lies idle. All of it is synchronous: nothing else can happen between looking and taking.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { PullproxyError } from '../errors.ts';
import type { HandoffCounters } from './counters.ts';
import type { HeldEntry } from './held-queue.ts';
import type { Relays } from './relay.ts';
import type { Route } from './routes.ts';
import { Visit } from './visit.ts';

/** How long an idle slot waits to be moved to a node that holds an older client, before it serves a younger one here. */
const YIELD_MS = 25;
/** A route may fill this share of the node's bytes for held requests. */
const ROUTE_BYTES_SHARE = 0.5;

export interface HeldLimits {
  /** Memory that held requests may keep at this node. */
  readonly heldBytesMax: number;
  /** Held visits at this node, over all routes. */
  readonly heldMax: number;
}

export class Dispatcher {
  readonly #cluster: Cluster;
  readonly #limits: HeldLimits;
  readonly #handoffs: HandoffCounters;
  #held = 0;
  #nextHold = 0;
  #draining = false;

  constructor(cluster: Cluster, limits: HeldLimits, handoffs: HandoffCounters) {
    this.#cluster = cluster;
    this.#limits = limits;
    this.#handoffs = handoffs;
  }

  get held(): number {
    return this.#held;
  }

  /** A visit has arrived: it is served now, held, or refused. */
  admit(visit: Visit, route: Route): void {
    visit.route = route;
    if (route.held.size === 0 && !this.#cluster.olderElsewhere(route.name, 0)) {
      const lender = route.slots.choose(route.settings.balance);
      if (lender !== null) {
        visit.attempts++;
        visit.serve(lender);
        return;
      }
    }
    this.#hold(visit, route);
  }

  /** The visit's client is gone: it leaves the queue at once. */
  leave(visit: Visit): void {
    if (visit.queue === null) return;
    visit.queue.remove(visit);
    this.#over(visit);
  }

  /** A visit whose stream failed before anything came of it goes back to its original place. */
  retry(visit: Visit): void {
    const route = visit.route as Route;
    this.#register(visit, route);
    this.match(route);
  }

  /** Slots of the route have become idle here. */
  match(route: Route): void {
    if (route.held.size > 0 && !this.#yields(route)) this.#serveHeld(route);
    if (route.held.size === 0) this.#giveBack(route);
    this.#cluster.idle(route.name, route.slots.movable);
  }

  /** Another node holds older clients: moves it up to `count` idle slots, and says how many it can't. */
  moveAway(route: Route | undefined, count: number, address: string, relays: Relays): number {
    let left = count;
    for (const lender of route === undefined ? [] : route.slots.lenders) {
      const moved = lender.relayed ? 0 : Math.min(left, lender.link.idle);
      if (moved === 0) continue;
      left -= moved;
      if (relays.needed(lender, address)) {
        relays.lend((route as Route).name, lender, moved, address);
        this.#handoffs.results.relayed += moved;
      } else {
        lender.link.move(moved, address);
        this.#handoffs.results.moved += moved;
      }
    }
    this.#handoffs.results.short += left;
    return left;
  }

  /** This node leaves: slots serve who is held here, and go back to their linkers as soon as nobody is. */
  drain(routes: Iterable<Route>): void {
    this.#draining = true;
    for (const route of routes) this.match(route);
  }

  /** The deadline of a held visit has passed; the queue has let it go. */
  expired(entry: HeldEntry): void {
    if (!(entry instanceof Visit)) return;
    this.#over(entry);
    entry.refuse(new PullproxyError('hold_timeout'));
  }

  /** The cluster has as many held clients of the route as it may have. */
  refuseHold(route: Route, holdId: string): void {
    // Refusals are rare and the youngest holds are concerned: the search begins at the end it is likely found at.
    for (let entry = route.held.youngest; entry !== null; entry = entry.older) {
      if (!(entry instanceof Visit) || entry.holdId !== holdId) continue;
      route.held.remove(entry);
      this.#over(entry);
      entry.refuse(new PullproxyError('queue_full'));
      return;
    }
  }

  /** The end of a drain: whoever is still held is told to come again. */
  refuseAll(routes: Iterable<Route>): void {
    for (const route of routes) {
      for (let entry = route.held.takeOldest(); entry !== null; entry = route.held.takeOldest()) {
        if (!(entry instanceof Visit)) continue;
        this.#over(entry);
        entry.refuse(new PullproxyError('draining'));
      }
    }
  }

  #hold(visit: Visit, route: Route): void {
    const { heldBytesMax, heldMax } = this.#limits;
    const full =
      this.#held >= heldMax ||
      route.held.size >= route.settings.maxHeld ||
      route.held.bytes + visit.heldBytes > heldBytesMax * ROUTE_BYTES_SHARE;
    if (full) {
      visit.refuse(new PullproxyError('queue_full'));
      return;
    }
    this.#register(visit, route);
    // Nobody waits here but a slot is idle: it is about to be moved to an older client elsewhere. This visit gets it if that fails.
    if (route.slots.movable > 0) this.match(route);
  }

  #register(visit: Visit, route: Route): void {
    visit.holdId = (this.#nextHold++).toString(36);
    visit.cold = route.newest === null && route.slots.lenders.length === 0;
    this.#held++;
    route.held.insert(visit);
    this.#cluster.hold(route.name, visit.holdId, performance.now() - visit.arrivedAt, route.settings.maxHeld);
  }

  #over(visit: Visit): void {
    this.#held--;
    this.#cluster.unhold((visit.route as Route).name, visit.holdId);
  }

  #serveHeld(route: Route): void {
    while (route.held.size > 0) {
      const lender = route.slots.choose(route.settings.balance);
      if (lender === null) return;
      const visit = route.held.takeOldest();
      if (!(visit instanceof Visit)) return;
      this.#over(visit);
      const heldSeconds = (performance.now() - visit.arrivedAt) / 1_000;
      route.counters.hold.observe(heldSeconds);
      if (visit.cold) route.counters.coldStart.observe(heldSeconds);
      visit.attempts++;
      visit.serve(lender);
    }
  }

  /** True while the idle slots here are to go to an older client at another node; they never wait longer than YIELD_MS. */
  #yields(route: Route): boolean {
    const oldest = route.held.oldest as HeldEntry;
    const now = performance.now();
    if (route.yieldsUntil > now) return true;
    if (!this.#cluster.olderElsewhere(route.name, now - oldest.arrivedAt) || route.slots.movable === 0) return false;
    if (route.yieldsUntil > 0 && route.yieldsUntil > now - YIELD_MS) return false;
    route.yieldsUntil = now + YIELD_MS;
    setTimeout(() => this.match(route), YIELD_MS + 1);
    return true;
  }

  /** Relayed slots don't lie idle here: the node that lent them on may need them. A node that leaves keeps none. */
  #giveBack(route: Route): void {
    for (const lender of route.slots.lenders) if (lender.relayed || this.#draining) lender.link.giveBack(lender.link.idle);
  }
}
