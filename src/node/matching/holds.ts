import { caught, guard } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { lineKey } from '../../cluster/fair-order.ts';
import { retryAfterSeconds } from '../../cluster/wait-estimate.ts';
import { LONGEST_TIMER_MS } from '../../config/duration.ts';
import { ERRORS, PullproxyError } from '../../errors.ts';
import type { Affinity } from './affinity.ts';
import { WaitCounters } from './counters.ts';
import type { Crowds } from './crowds.ts';
import type { HeldTally } from './held-queue.ts';
import type { Route } from './route.ts';
import { PLACE_HELD_MS, type Visit, type VisitRoute } from './visit.ts';
import { WaitWatch } from './wait-watch.ts';

/** Made once: in an overload thousands are refused, and a stack trace for each would be too expensive. */
const DRAINING = new PullproxyError('draining');

/** Its page is a response like an error. */
type PageOf = (visit: Visit, route: Route) => PullproxyError;

type Refusal = 'queue_full' | 'overload' | 'hold_timeout' | 'deadline';

/** By code and seconds: no more than there are steps of `retryAfterSeconds`, and seconds that overload.ts says. */
const refusals = new Map<string, PullproxyError>();

/** Its client may come again when one that comes now would have a slot, as far as that is known. */
function refusal(code: Refusal, { route }: Visit, secondsMin = 0): PullproxyError {
  const ms = route?.newcomerWaitMs(performance.now()) ?? null;
  const retryAfter = Math.max(secondsMin, ms === null ? ERRORS[code].retryAfter : retryAfterSeconds(ms));
  const key = `${code} ${retryAfter}`;
  const known = refusals.get(key) ?? new PullproxyError(code, undefined, { retryAfter });
  refusals.set(key, known);
  return known;
}

/** A browser that sees the route's page instead of waiting on, or of an error. */
function getsPage(visit: Visit, { settings }: Route): boolean {
  return settings.waitingPageAfterMs !== undefined && !visit.quiet && visit.browser !== null;
}

/** Visits that wait for a slot: in their route's queue here, and in the directory, so that slots of other nodes come to them. */
export class Holds {
  /** Over all routes, also those that are forgotten by now. */
  readonly waits = new WaitCounters();
  readonly #cluster: Cluster;
  readonly #watch: WaitWatch;
  readonly #heldMax: number;
  readonly #tally: HeldTally;
  readonly #page: PageOf;
  #nextHold = 0;

  /** `heldMax`: visits at this node, over all routes. `tally` counts what the routes' queues hold. `page`: for a browser that is held. */
  constructor(cluster: Cluster, heldMax: number, tally: HeldTally, page: PageOf = () => new PullproxyError('waiting_page')) {
    this.#page = page;
    this.#cluster = cluster;
    this.#watch = new WaitWatch(cluster);
    this.#heldMax = heldMax;
    this.#tally = tally;
  }

  /** There is no room here for one more. */
  isFull({ heldBytes }: Visit, { held, settings }: Route): boolean {
    const { size, bytes, bytesMax, queueBytesMax } = this.#tally;
    return size >= this.#heldMax || bytes + heldBytes > bytesMax || held.size >= settings.maxHeld || held.bytes + heldBytes > queueBytesMax;
  }

  /** At its place by its age. The cluster refuses it if it holds `maxHeld` visits of the route. */
  hold(visit: Visit, route: Route, maxHeld: number): void {
    visit.held((this.#nextHold++).toString(36), route.isCold);
    route.held.insert(visit);
    this.#refuseAtDeadline(visit);
    this.#signalAgain(visit, route);
    this.#showPageLater(visit, route);
    if (visit.quiet) route.quietHeld++;
    else this.#cluster.hold(route.name, visit.holdId, performance.now() - visit.arrivedAt, maxHeld, visit.ask ?? undefined);
    this.#watch.watch(route);
    this.#expect(visit, route);
  }

  #expect(visit: Visit, route: Route): void {
    const now = performance.now();
    // One that comes back has an age, and its estimate is the one with which it came.
    if (visit.expectedMs >= 0 || !route.waits.judgesNow(now)) return;
    const leftMs = route.waitLeftMs(visit, now);
    if (leftMs === null) return;
    visit.expectedMs = Math.round(now - visit.arrivedAt + leftMs);
    visit.expectedPerMille = Math.round(1_000 * route.waits.correction);
  }

  /** It waits for one instance before it is held: other nodes need not know of it. */
  prefer(visit: Visit, affinity: Affinity): void {
    visit.held('', false);
    affinity.waiting.insert(visit);
    this.#refuseAtDeadline(visit);
  }

  /** It gets a slot of that instance. */
  preferred(visit: Visit, route: Route, now: number): void {
    visit.queue?.remove(visit);
    this.preferenceOver(visit);
    visit.slotAt = now;
    const seconds = (now - visit.arrivedAt) / 1_000;
    route.counters.waited(seconds, false);
    this.waits.waited(seconds, false);
  }

  /** It waits for that instance no longer. */
  preferenceOver(visit: Visit): void {
    if (visit.deadlineTimer !== null) clearTimeout(visit.deadlineTimer);
    visit.deadlineTimer = null;
  }

  /** Its ask is another one. */
  asksAnew(visit: Visit, route: Route): void {
    if (visit.quiet) return;
    const heldMs = performance.now() - visit.arrivedAt;
    this.#cluster.hold(route.name, visit.holdId, heldMs, Number.MAX_SAFE_INTEGER, visit.ask ?? undefined);
  }

  /** The queue here is full: the youngest of its least urgent clients is refused, if it is less urgent. Returns whether there is room now. */
  makeRoom(visit: Visit, route: Route): boolean {
    const other = visit.ask === null ? null : (route.order?.lessUrgent(visit.ask.urgency) ?? null);
    if (other === null) return false;
    this.refuseFull(other);
    return !this.isFull(visit, route);
  }

  /** It gets a slot. */
  served(visit: Visit, route: Route, now: number, readyAt: number | undefined): void {
    this.pay(visit, route);
    this.release(visit);
    visit.slotAt = now;
    if (visit.place !== null && visit.place !== 'taken') visit.place.isUsedUp = true;
    if (visit.expectedMs >= 0) route.waits.judge(visit.expectedMs, visit.expectedPerMille / 1_000, now - visit.arrivedAt);
    route.crowds?.served(visit, now);
    const seconds = (now - visit.arrivedAt) / 1_000;
    // The instance may be warm elsewhere without this node's knowledge.
    const cold = visit.cold && !(readyAt !== undefined && readyAt <= visit.arrivedAt);
    route.counters.waited(seconds, cold);
    this.waits.waited(seconds, cold);
  }

  /** If it is held, it is no longer. */
  release(visit: Visit): void {
    const { queue, route } = visit;
    if (queue === null) return;
    queue.remove(visit);
    if (queue === route?.held) {
      this.#over(visit);
      return;
    }
    this.preferenceOver(visit);
    route?.affinity?.lines.tidy();
  }

  /** It is not held any more, if it was, and gets the error as its response. */
  refuse(visit: Visit, error: PullproxyError): void {
    try {
      this.release(visit);
      visit.refuse(error);
    } catch (thrown) {
      caught(visit, thrown);
    }
  }

  refuseFull(visit: Visit): void {
    this.refuse(visit, refusal('queue_full', visit));
  }

  /** The deadline of a held visit has passed; the queue has let it go. */
  expired(visit: Visit): void {
    this.#over(visit);
    const route = visit.route as Route;
    const isSooner = !visit.cold && performance.now() - visit.arrivedAt < route.settings.holdTimeoutMs;
    if (isSooner && route.crowds !== null) this.refuseOverload(visit, route, route.crowds);
    else this.refuse(visit, refusal('hold_timeout', visit));
  }

  /** It can't be served as long as its client waits. A browser sees the route's page, where there is one. */
  refuseOverload(visit: Visit, route: Route, crowds: Crowds): void {
    const seconds = crowds.refused(visit, performance.now());
    route.counters.overloadRefused++;
    this.refuse(visit, getsPage(visit, route) ? this.#page(visit, route) : refusal('overload', visit, seconds));
  }

  /** The cluster holds as many clients of the route as it may. Nothing is refused that is no longer held as `holdId`. */
  refuseHold(route: Route, holdId: string): void {
    // The refused client has come just now.
    const visit = route.held.findYoungest((entry) => entry.holdId === holdId);
    if (visit !== null) this.refuseFull(visit);
  }

  /** The end of a drain: clients that are still held are told to come again. */
  refuseAll(routes: Iterable<Route>): void {
    for (const route of routes) {
      for (let oldest = route.held.oldest; oldest !== null; oldest = route.held.oldest) {
        // A browser comes back to its place, at another node.
        this.refuse(oldest, getsPage(oldest, route) ? this.#page(oldest, route) : DRAINING);
      }
    }
  }

  /** Its line pays for it, here and in the directory; once, also when its stream fails and it has another. */
  pay(visit: Visit, route: Route): void {
    const { ask } = visit;
    if (ask === null) return;
    route.held.served(visit);
    if (ask.unit === 0) return;
    this.#cluster.charge(route.name, lineKey(ask), ask.unit);
    visit.ask = { ...ask, unit: 0 };
  }

  refuseTooLate(visit: Visit): void {
    this.refuse(visit, refusal('deadline', visit));
  }

  #refuseAtDeadline(visit: Visit): void {
    const { deadlineAt } = visit;
    if (deadlineAt === null) return;
    const waitMs = Math.min(LONGEST_TIMER_MS, Math.max(0, deadlineAt - performance.now()));
    visit.deadlineTimer = setTimeout(
      guard(visit, () => this.refuseTooLate(visit)),
      Math.ceil(waitMs),
    );
  }

  #signalAgain(visit: Visit, route: Route): void {
    const { holdSignalMs, holdCommentsMs } = route.settings;
    if (holdCommentsMs !== undefined && visit.takesComments) {
      const comment = guard(visit, () => {
        const now = performance.now();
        visit.comment(route.waits.position(route.aheadOf(visit, now), now));
      });
      visit.signalTimer = setInterval(comment, holdCommentsMs);
    } else if (holdSignalMs !== undefined && visit.takesSignals) {
      visit.signalTimer = setInterval(
        guard(visit, () => visit.signal()),
        holdSignalMs,
      );
    }
  }

  #showPageLater(visit: Visit, route: Route): void {
    const { waitingPageAfterMs: afterMs } = route.settings;
    if (afterMs === undefined || !getsPage(visit, route)) return;
    const waitMs = visit.isTimeless ? PLACE_HELD_MS : Math.max(0, visit.arrivedAt + afterMs - performance.now());
    visit.pageTimer = setTimeout(
      guard(visit, () => this.refuse(visit, this.#page(visit, route))),
      waitMs,
    );
  }

  #over(visit: Visit): void {
    if (visit.cost > 1) visit.route?.gatherings.end(visit);
    if (visit.pageTimer !== null) clearTimeout(visit.pageTimer);
    visit.pageTimer = null;
    if (visit.signalTimer !== null) clearInterval(visit.signalTimer);
    visit.signalTimer = null;
    if (visit.deadlineTimer !== null) clearTimeout(visit.deadlineTimer);
    visit.deadlineTimer = null;
    try {
      const route = visit.route as VisitRoute;
      if (visit.quiet) route.quietHeld--;
      else this.#cluster.unhold(route.name, visit.holdId);
    } catch (error) {
      caught('directory', error);
    }
  }
}
