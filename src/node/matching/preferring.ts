/**
 * Clients who would rather have one instance than another. One whose instance has no idle slot here waits beside the queue, for `affinityWait` at
 * most, while that instance's slots that lie elsewhere are asked for; then it is held at its place by its age, and takes any. A slot of the instance
 * that comes free goes to those who wait for it, unless one who is held has waited for `affinityWait`: from then on nobody younger passes it.
 */
import type { Cluster, InstanceHome } from '../../cluster/cluster.ts';
import type { Affinity } from './affinity.ts';
import type { AffinityLine } from './affinity-lines.ts';
import type { Holds } from './holds.ts';
import type { Lender } from './lent-slots.ts';
import type { Route } from './route.ts';
import type { Visit } from './visit.ts';

/** Between two times that slots of one instance are asked for. */
const ASK_GAP_MS = 25;

type PreferringCluster = Pick<Cluster, 'self' | 'connected' | 'isAwake' | 'pull' | 'beatSoon'>;

export interface PreferringEvents {
  serve(visit: Visit, lender: Lender, route: Route): void;
  /** It takes any instance from now on. */
  admit(visit: Visit, route: Route): void;
  /** The lender's slot is not for this visit, but for one elsewhere. */
  isKeptBack(lender: Lender, route: Route, visit: Visit, heldMs: number): boolean;
  wantBack(lender: Lender, count: number): void;
}

export class Preferring {
  readonly #cluster: PreferringCluster;
  readonly #holds: Holds;
  readonly #events: PreferringEvents;

  constructor(cluster: PreferringCluster, holds: Holds, events: PreferringEvents) {
    this.#cluster = cluster;
    this.#holds = holds;
    this.#events = events;
  }

  /** It has arrived. Returns whether it was served by its instance, or waits for it. */
  take(visit: Visit, route: Route, affinity: Affinity, now: number): boolean {
    const wish = visit.affinity ?? affinity.wishOf(visit.word);
    visit.affinity = wish;
    if (wish.isOver || wish.values.length === 0) return false;
    if (!affinity.isFresh(now) && this.#cluster.connected && this.#mayWait(visit, route, affinity)) {
      this.#holds.prefer(visit, affinity);
      // The reply says which instances there are, see `ready`.
      this.#cluster.isAwake(route.name).catch(() => undefined);
      return true;
    }
    wish.instance = affinity.find(wish);
    if (wish.instance === null || !isWanted(route, wish.instance)) return false;
    const lender = route.held.next === null ? this.idleOf(visit, route) : null;
    if (lender !== null) {
      if (this.#events.isKeptBack(lender, route, visit, now - visit.arrivedAt)) return false;
      this.#events.serve(visit, lender, route);
      return true;
    }
    if (!this.#mayWait(visit, route, affinity)) return false;
    this.#holds.prefer(visit, affinity);
    this.#askForAll(route, affinity, now);
    return true;
  }

  /** The idle slot of its instance, if it has one that may be given to it. */
  idleOf({ affinity: wish, avoids, cost }: Visit, { slots }: Route): Lender | null {
    return wish === null || wish.instance === null ? null : slots.idleOf(wish.instance, avoids, cost);
  }

  /** The same for one who takes any, also if it never waited for its instance. */
  ownOf(visit: Visit, route: Route, affinity: Affinity): Lender | null {
    if (visit.affinity === null) {
      visit.affinity = affinity.wishOf(visit.word);
      visit.affinity.instance = affinity.find(visit.affinity);
    }
    return this.idleOf(visit, route);
  }

  /** Slots may be idle here. */
  look(route: Route, affinity: Affinity): void {
    const { lines, waitMs } = affinity;
    const now = performance.now();
    const inVain = new Set<Lender>();
    for (let lender = next(); lender !== null; lender = next()) {
      const visit = lines.firstFor(lender.instance) as Visit;
      const first = route.held.next;
      const passesOver = first !== null && first.arrivedAt < visit.arrivedAt && now - first.arrivedAt >= waitMs;
      if (passesOver || route.isPaused) break;
      if (visit.isTooLate(now)) {
        this.#holds.refuseTooLate(visit);
      } else if (this.idleOf(visit, route) !== lender || this.#events.isKeptBack(lender, route, visit, now - visit.arrivedAt)) {
        inVain.add(lender);
      } else {
        this.#holds.preferred(visit, route, now);
        this.#events.serve(visit, lender, route);
      }
    }
    lines.tidy();
    this.#askForAll(route, affinity, now);

    function next(): Lender | null {
      return route.slots.findIdle((lender) => !inVain.has(lender) && lines.firstFor(lender.instance) !== null);
    }
  }

  /** The directory has said which instances are ready. */
  ready(route: Route, affinity: Affinity, said: readonly InstanceHome[]): void {
    const here = route.slots.lenders.filter(({ link }) => !link.isDismissed).map(({ instance }) => instance);
    affinity.ready(said, here, performance.now());
    for (const [instance] of affinity.lines.all) if (!affinity.knows(instance)) this.#askAnew(route, affinity, instance);
  }

  /** Its link here is gone. Where it is at home elsewhere, that node knows whether it has left: linkers close links that they do not need. */
  linkGone(route: Route, affinity: Affinity, instance: string): void {
    const home = affinity.homeOf(instance);
    if (home === null || home === this.#cluster.self.id) this.gone(route, affinity, instance);
    else this.#cluster.beatSoon();
  }

  /** The instance has left, or is about to. */
  gone(route: Route, affinity: Affinity, instance: string): void {
    affinity.forget(instance);
    this.#askAnew(route, affinity, instance);
  }

  /** Nobody waits for one instance any more. */
  flush(route: Route, affinity: Affinity): void {
    for (let visit = affinity.waiting.oldest; visit !== null; visit = affinity.waiting.oldest) {
      affinity.waiting.remove(visit);
      this.over(visit, route);
    }
    affinity.lines.tidy();
  }

  /** It is out of the line, and takes any. */
  over(visit: Visit, route: Route): void {
    this.#holds.preferenceOver(visit);
    if (visit.affinity !== null) visit.affinity.isOver = true;
    if (!visit.isOver) this.#events.admit(visit, route);
  }

  /** Those who wait for an instance find another one, or any. */
  #askAnew(route: Route, affinity: Affinity, instance: string): void {
    for (const visit of affinity.lines.waitingFor(instance)) {
      affinity.waiting.remove(visit);
      this.#holds.preferenceOver(visit);
      if (!visit.isOver) this.#events.admit(visit, route);
    }
    affinity.lines.tidy();
  }

  #mayWait(visit: Visit, route: Route, { waitMs, waiting }: Affinity): boolean {
    if (waitMs === 0 || visit.cost > 1 || visit.isTimeless || visit.quiet) return false;
    return waiting.size < route.settings.maxHeld && !this.#holds.isFull(visit, route);
  }

  #askForAll(route: Route, affinity: Affinity, now: number): void {
    let asksAgain = false;
    for (const [instance, line] of affinity.lines.all) {
      if (instance === '' || line.visits.size === 0) continue;
      asksAgain = true;
      if (now - line.askedAt < ASK_GAP_MS) continue;
      line.askedAt = now;
      this.#ask(route, instance, line, affinity.homeOf(instance));
    }
    if (asksAgain) route.rematch.within(ASK_GAP_MS, now);
  }

  /** A linker brings its idle slots to this node; one that can't, or has no link here, is asked through its home. */
  #ask(route: Route, instance: string, line: AffinityLine, home: string | null): void {
    const lender = route.slots.lenders.find((one) => one.instance === instance && !one.relayed);
    if (lender?.link.countsCosts !== true) {
      if (home !== null) this.#cluster.pull(route.name, line.visits.size, { id: instance, node: home });
      return;
    }
    const { link, concurrency, gathersFor } = lender;
    const here = link.idle + link.active;
    const count = Math.min(concurrency, here + line.visits.size);
    if (gathersFor !== undefined || count <= here) return;
    line.gathers = lender;
    link.gather(count);
    this.#events.wantBack(lender, count - here);
  }
}

/** Nothing speaks against the instance, as far as this node knows. */
function isWanted(route: Route, instance: string): boolean {
  const lender = route.slots.lenders.find((one) => one.instance === instance && !one.relayed);
  if (lender === undefined) return true;
  const isSuspect = lender.trust?.state === 'suspect' && route.hasOther(instance);
  return !isSuspect && !lender.link.isDismissed && lender.concurrency > 0;
}
