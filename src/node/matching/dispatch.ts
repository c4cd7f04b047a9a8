/**
 * The main path. A visit finds an idle slot, or is held; a slot that becomes idle finds the oldest held visit, or
 * lies idle. All of it is synchronous: nothing else can happen between looking and taking.
 */
import assert from 'node:assert';
import { caught, guard } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { PullproxyError } from '../../errors.ts';
import type { RequestBuffers } from '../visits/request-buffers.ts';
import { Visit } from '../visits/visit.ts';
import { WaitCounters } from './counters.ts';
import type { HeldEntry, HeldTally } from './held-queue.ts';
import type { Route } from './routes.ts';
import type { Lender } from './slots.ts';

/** How long an idle slot waits to be moved to a node that holds an older client, before it serves a younger one here. */
const YIELD_MS = 25;
/** How long a client waits for another instance before it is given to one whose first requests failed. */
const SUSPECT_AFTER_MS = 1_000;
/** Between two requests for slots of the newest instance; twice as long after each that brought none. */
const PULL_GAP_MS = 50;
const PULL_GAP_MS_MAX = 5_000;
/** After slots were kept back in vain none are for this time: a directory that is slow must not cost every slot YIELD_MS. */
const YIELD_PAUSE_MS = 100;

/** Made once: whoever refuses thousands in an overload has better to do than to trace its own steps. */
const QUEUE_FULL = new PullproxyError('queue_full');
const HOLD_TIMEOUT = new PullproxyError('hold_timeout');
const DRAINING = new PullproxyError('draining');

export class Dispatcher {
  /** Over all routes, also those that are forgotten by now. */
  readonly waits = new WaitCounters();
  readonly #cluster: Cluster;
  readonly #heldMax: number;
  readonly #tally: HeldTally;
  readonly #startNeeded: (route: string) => void;
  /** Null: a request has a slot as soon as there is one, wherever its body is. */
  readonly #buffers: RequestBuffers | null;
  /** Routes whose number of idle slots has changed in this turn. */
  #changed: Route[] = [];
  #nextHold = 0;
  #draining = false;

  /** `heldMax`: visits at this node, over all routes. `tally` counts what the routes' queues hold; `startNeeded` is told of clients that are not even held. */
  constructor(
    cluster: Cluster,
    heldMax: number,
    tally: HeldTally,
    startNeeded: (route: string) => void = () => {},
    buffers: RequestBuffers | null = null,
  ) {
    this.#buffers = buffers;
    this.#cluster = cluster;
    this.#startNeeded = startNeeded;
    this.#heldMax = heldMax;
    this.#tally = tally;
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
    visit.route = route;
    if (visit.record !== null) visit.record.route = route.name;
    const waitsForBody = this.#buffers !== null && !this.#draining && visit.collectBody(this.#buffers, () => this.admit(visit, route));
    if (waitsForBody) return;
    const lender = route.held.size === 0 ? this.#choose(route, 0) : null;
    if (lender !== null && !this.#isKeptBack(lender, route, 0)) this.#serve(visit, lender, route);
    else if (lender === null && this.#isFailing(route)) this.#sendAway(visit, route);
    else if (!this.#isFull(visit, route)) this.#hold(visit, route, route.settings.maxHeld);
    // A slot that is kept back is better than none.
    else if (lender !== null) this.#serve(visit, lender, route);
    else visit.refuse(QUEUE_FULL);
  }

  /** The visit's client is gone: it leaves the queue at once. */
  leave(visit: Visit): void {
    if (visit.queue === null) return;
    visit.queue.remove(visit);
    this.#over(visit);
  }

  /** A visit whose stream failed before anything came of it goes back to its original place. It was accepted: no limit refuses it now. */
  retry(visit: Visit): void {
    const route = visit.route as Route;
    // Not in this turn of the event loop: what broke its link may have broken others, and they are only about to be heard of.
    setImmediate(guard('visit', () => this.match(route)));
    this.#hold(visit, route, Number.MAX_SAFE_INTEGER);
  }

  /** Slots of the route may be idle here: they serve who is held, the oldest first. */
  match(route: Route): void {
    for (let oldest = route.held.oldest; oldest !== null; oldest = route.held.oldest) {
      const now = performance.now();
      const lender = this.#choose(route, now - oldest.arrivedAt);
      if (lender === null || this.#isKeptBack(lender, route, now - oldest.arrivedAt)) break;
      const visit = visitOf(oldest);
      route.held.remove(visit);
      this.#over(visit);
      route.counters.waited((now - visit.arrivedAt) / 1_000, visit.cold);
      this.waits.waited((now - visit.arrivedAt) / 1_000, visit.cold);
      this.#serve(visit, lender, route);
    }
    // The node that lent them on may need them.
    if (route.held.size === 0) for (const { link } of route.slots.relayed) link.giveBack(link.idle);
    this.slotsChanged(route);
  }

  /** The cluster hears of it at the end of the turn, in which many slots may come and go. */
  slotsChanged(route: Route): void {
    if (route.slotsChanged) return;
    route.slotsChanged = true;
    if (this.#changed.push(route) === 1) setImmediate(this.#sayIdle);
  }

  /** Idle slots of the route have gone to another node. When all have, none is kept back here any more. */
  handedOver(route: Route): void {
    this.slotsChanged(route);
    if (route.slots.choose('newest') === null) this.#stopYielding(route);
  }

  /** This node leaves: from now on slots serve who is held here, whoever waits elsewhere. */
  drain(routes: Iterable<Route>): void {
    this.#draining = true;
    this.#buffers?.flush();
    for (const route of routes) this.match(route);
  }

  /** The deadline of a held visit has passed; the queue has let it go. */
  expired(entry: HeldEntry): void {
    const visit = visitOf(entry);
    this.#over(visit);
    this.#refuse(visit, HOLD_TIMEOUT);
  }

  /** Starts keep failing, no instance is there and none on its way: nobody waits for `forMs`. */
  startsFail(route: Route, forMs: number): void {
    route.failingUntil = performance.now() + forMs;
    for (let oldest = route.held.oldest; oldest !== null && this.#isFailing(route); oldest = route.held.oldest) {
      const visit = visitOf(oldest);
      this.leave(visit);
      this.#sendAway(visit, route);
    }
  }

  /** The cluster holds as many clients of the route as it may. Nothing is refused that is no longer held as `holdId`. */
  refuseHold(route: Route, holdId: string): void {
    // Whom it refuses has come just now.
    const visit = route.held.findYoungest((entry) => visitOf(entry).holdId === holdId);
    if (!(visit instanceof Visit)) return;
    this.leave(visit);
    this.#refuse(visit, QUEUE_FULL);
  }

  /** The end of a drain: whoever is still held is told to come again. */
  refuseAll(routes: Iterable<Route>): void {
    for (const { held } of routes) {
      for (let oldest = held.oldest; oldest !== null; oldest = held.oldest) {
        const visit = visitOf(oldest);
        this.leave(visit);
        this.#refuse(visit, DRAINING);
      }
    }
  }

  #serve(visit: Visit, lender: Lender, route: Route): void {
    try {
      visit.attempts++;
      visit.record?.opened(lender);
      visit.serve(lender);
    } catch (error) {
      caught(visit, error);
    }
    if (route.newest !== null && route.newest !== lender.instance) this.#pullNewest(route);
    this.slotsChanged(route);
  }

  /**
   * An idle slot for a client that has waited for `heldMs`. An instance whose first requests failed is not given it while another one may
   * serve it, here or at another node; after SUSPECT_AFTER_MS it is better than none.
   */
  #choose(route: Route, heldMs: number): Lender | null {
    const lender = route.slots.choose(route.settings.balance);
    if (lender?.trust?.state !== 'suspect' || heldMs >= SUSPECT_AFTER_MS || !route.hasOther(lender.instance)) return lender;
    const matchAgain = guard('timer', () => {
      route.suspectTimer = null;
      this.match(route);
    });
    route.suspectTimer ??= setTimeout(matchAgain, SUSPECT_AFTER_MS - heldMs);
    return null;
  }

  #isFailing(route: Route): boolean {
    return route.failingUntil > 0 && performance.now() < route.failingUntil;
  }

  /** Whoever is sent away wanted an instance all the same: that is why one is tried again. */
  #sendAway(visit: Visit, route: Route): void {
    this.#startNeeded(route.name);
    const retryAfter = Math.max(1, Math.ceil((route.failingUntil - performance.now()) / 1_000));
    this.#refuse(visit, new PullproxyError('start_failed', undefined, retryAfter));
  }

  /**
   * An older instance serves here because the newest has no slot at this node: it is asked for some, less and less often if none come.
   * Otherwise the older one would stay busy for as long as its slots lie where clients arrive.
   */
  #pullNewest(route: Route): void {
    const now = performance.now();
    if (now < route.pullsAgainAt || route.settings.balance !== 'newest') return;
    const newest = route.slots.lenders.find(({ instance }) => instance === route.newest);
    if (newest !== undefined && (newest.link.idle > 0 || newest.trust?.state === 'suspect')) return;
    route.pullsAgainAt = now + Math.min(PULL_GAP_MS_MAX, PULL_GAP_MS * 2 ** route.pullsInVain++);
    const older = route.slots.lenders.reduce((sum, { instance, link }) => sum + (instance === route.newest ? 0 : link.active), 0);
    this.#cluster.pull(route.name, older);
  }

  #isFull({ heldBytes }: Visit, { held, settings }: Route): boolean {
    const { size, bytes, bytesMax, queueBytesMax } = this.#tally;
    return size >= this.#heldMax || bytes + heldBytes > bytesMax || held.size >= settings.maxHeld || held.bytes + heldBytes > queueBytesMax;
  }

  #hold(visit: Visit, route: Route, maxHeld: number): void {
    visit.holdId = (this.#nextHold++).toString(36);
    visit.cold = route.isCold;
    visit.record?.held();
    route.held.insert(visit);
    this.#showPageLater(visit, route.settings.waitingPageAfterMs);
    this.#cluster.hold(route.name, visit.holdId, performance.now() - visit.arrivedAt, maxHeld);
  }

  #showPageLater(visit: Visit, afterMs: number | undefined): void {
    if (afterMs === undefined || !visit.takesPage) return;
    const waitMs = Math.max(0, visit.arrivedAt + afterMs - performance.now());
    const showPage = guard(visit, () => {
      this.leave(visit);
      visit.refuse(new PullproxyError('waiting_page'));
    });
    visit.pageTimer = setTimeout(showPage, waitMs);
  }

  #refuse(visit: Visit, error: PullproxyError): void {
    try {
      visit.refuse(error);
    } catch (thrown) {
      caught(visit, thrown);
    }
  }

  #over(visit: Visit): void {
    if (visit.pageTimer !== null) clearTimeout(visit.pageTimer);
    visit.pageTimer = null;
    try {
      this.#cluster.unhold((visit.route as Route).name, visit.holdId);
    } catch (error) {
      caught('directory', error);
    }
  }

  /**
   * True while the lender's idle slot is not for a client that has waited for `heldMs` here, but for an older one at another node, to
   * which the cluster is about to have it moved. It waits for that no longer than YIELD_MS.
   */
  #isKeptBack(lender: Lender, route: Route, heldMs: number): boolean {
    if (lender.relayed || this.#draining || !this.#cluster.olderElsewhere(route.name, heldMs)) return false;
    if (route.yieldTimer !== null) return true;
    if (performance.now() < route.yieldsAgainAt) return false;
    const stopWaiting = guard('timer', () => {
      route.yieldTimer = null;
      route.yieldsAgainAt = performance.now() + YIELD_PAUSE_MS;
      this.match(route);
    });
    route.yieldTimer = setTimeout(stopWaiting, YIELD_MS);
    return true;
  }

  /** The slots that were kept back have been moved. */
  #stopYielding(route: Route): void {
    if (route.yieldTimer !== null) clearTimeout(route.yieldTimer);
    route.yieldTimer = null;
  }

  readonly #sayIdle = guard('timer', (): void => {
    const changed = this.#changed;
    this.#changed = [];
    for (const route of changed) {
      route.slotsChanged = false;
      try {
        this.#cluster.idle(route.name, route.movable, route.slots.active);
      } catch (error) {
        caught('directory', error);
      }
    }
  });
}

function visitOf(entry: HeldEntry): Visit {
  assert(entry instanceof Visit, 'only visits are held');
  return entry;
}
