/** Handles the calls of linkers on their links. */
import { unawaited } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { hasKey } from '../../config/route-key.ts';
import type { AgentAnswer } from '../../link/agent-words.ts';
import { type InstanceReport, LIMIT_SETTERS } from '../../link/instance-report.ts';
import type { NodeLinkEvents } from '../../link/node-link-events.ts';
import type { Log } from '../../log.ts';
import type { Handoffs } from '../handoff/handoffs.ts';
import type { Dispatcher } from '../matching/dispatch.ts';
import type { Lender } from '../matching/lent-slots.ts';
import type { Route } from '../matching/route.ts';
import type { Routes } from '../matching/routes.ts';
import { Agents } from './agents.ts';
import type { LenderEvents } from './link-server.ts';

/** The directory is to number it. */
const UNNUMBERED = 0;

export interface LendersContext {
  readonly cluster: Cluster;
  readonly dispatcher: Dispatcher;
  readonly routes: Routes;
  readonly handoffs: Handoffs;
  /** One more instance of the route is wanted. */
  startAnother(route: string): void;
  /** Instances of the route may be missing. */
  startNeeded(route: string): void;
  /** An instance of a route with a stop command has left for good. */
  left(route: string, leaver: Leaver): void;
  /** The last instance here of a route's key is gone. */
  keyLeft(route: Route): void;
  isLeaving(): boolean;
  readonly log: Log;
}

/** An instance that was allowed to leave, and has. */
export interface Leaver {
  readonly instance: string;
  readonly startId?: string | undefined;
}

export class Lenders implements LenderEvents {
  readonly #context: LendersContext;
  readonly agents: Agents;
  /** By route and instance, those whose home link is here: what the cluster was told last. Instance ids are unique only within their route. */
  readonly #homes = new Map<string, Lender>();
  /** Instances that may leave, and have not yet. */
  readonly #retired = new Set<Lender>();
  /**
   * Instances of keys that the directory has not entered yet: they may be one too many, so nothing is given to them. For others a short time with
   * one too many does no harm.
   */
  readonly #unentered = new Set<Lender>();

  constructor(context: LendersContext) {
    this.#context = context;
    const { cluster, startAnother, startNeeded, isLeaving, log } = context;
    const answered = (route: string, how: AgentAnswer['how']): void => context.routes.get(route)?.counters.agentAnswered(how);
    this.agents = new Agents({ directory: cluster.agents, node: cluster.self.id, startAnother, startNeeded, answered, isLeaving, log });
  }

  isHome(route: string, lender: Lender): boolean {
    return this.#homes.get(homeKey(route, lender)) === lender;
  }

  linked(name: string, lender: Lender, secret: string): string | null {
    const refusal = this.#context.routes.refusal(name);
    if (refusal !== null) return refusal;
    const route = this.#context.routes.linked(name, secret);
    if (route === null) return 'this node knows too many routes, or too many of this secret';
    if (lender.unnumbered === true) lender.seq = route.slots.nextSeq;
    if (route.isKey && !lender.relayed) this.#unentered.add(lender);
    else route.slots.add(lender);
    const { newest } = route.instances;
    if (newest !== null && !lender.relayed) lender.link.newest(newest === lender.instance);
    if (this.#context.isLeaving()) lender.link.goAway();
    if (route.held.size > 0) this.#askWhenBegun(name, lender);
    return null;
  }

  heard(route: string, lender: () => Lender): Omit<NodeLinkEvents, 'down'> {
    const { handoffs, startAnother } = this.#context;
    return {
      idle: () => this.#idle(route, lender()),
      moveFailed: (count, address) => handoffs.moveFailed(route, lender(), count, address),
      report: (report) => this.#report(route, lender(), report),
      retire: () => this.#retire(route, lender()),
      startAnother: () => startAnother(route),
      recalled: (count) => handoffs.recalled(lender(), count),
      gathersAtMost: (count) => this.#gathersAtMost(route, lender(), count),
    };
  }

  #gathersAtMost(name: string, lender: Lender, count: number): void {
    const route = this.#context.routes.get(name);
    if (route !== undefined) this.#context.dispatcher.gathersAtMost(route, lender, count);
  }

  #idle(name: string, lender: Lender): void {
    const route = this.#context.routes.get(name);
    if (route === undefined) return;
    if (lender.birth) lender.birth.readyAt ??= performance.now();
    this.#tellStart(name, lender);
    if (this.#unentered.has(lender)) return;
    route.lent(lender);
    this.#context.dispatcher.match(route);
    this.#context.handoffs.lent(route, lender);
  }

  /** The instance of a key is one that may serve it: its slots count from now on. */
  #enter(name: string, lender: Lender): void {
    const route = this.#context.routes.get(name);
    if (!this.#unentered.delete(lender) || route === undefined) return;
    route.slots.add(lender);
    if (lender.link.idle > 0) this.#idle(name, lender);
  }

  #report(name: string, lender: Lender, report: InstanceReport): void {
    const { home, state, active, answered, failure, order, concurrency = lender.concurrency, setBy } = report;
    if (order !== undefined && lender.unnumbered === true) this.#number(name, lender, order);
    lender.concurrency = concurrency;
    lender.setBy = setBy;
    this.#countLimit(name, lender, report);
    if (state === 'draining') this.#leaves(name, lender);
    if (home) {
      const { instance: id, startId, version } = lender;
      const seq = lender.unnumbered === true ? UNNUMBERED : lender.seq;
      this.#homes.set(homeKey(name, lender), lender);
      // A linker whose limit moves may have more in use for a while.
      const inUse = setBy === undefined ? Math.min(active, concurrency) : active;
      const placesMax = this.#context.routes.get(name)?.settings.maxInstances;
      const most = setBy === undefined || setBy === 'flag' ? undefined : lender.concurrencyMax;
      const places = hasKey(name) ? { placesMax, placesAreStrict: true } : { placesMax };
      const info = { id, seq, concurrency, most, setBy, state, active: inUse, startId, version, answered, failure, ...places };
      this.#context.cluster.instance(name, info);
    } else {
      // Its home, another node, has lent its slots here.
      if (lender.unnumbered !== true) this.#enter(name, lender);
      this.#leaveHome(name, lender);
    }
  }

  #leaves(name: string, { instance }: Lender): void {
    const route = this.#context.routes.get(name);
    if (route !== undefined) this.#context.dispatcher.instanceLeaves(route, instance);
  }

  /** The instance counts from its beginning on. What it did before it was at home here another node has counted. */
  #countLimit(name: string, lender: Lender, { home, changes = {}, unusable = 0 }: InstanceReport): void {
    const { counted } = lender;
    lender.counted = { changes, unusable };
    const counters = this.#context.routes.get(name)?.counters;
    if (!home || counted === undefined || counters === undefined) return;
    for (const by of LIMIT_SETTERS) counters.limitChanged(by, (changes[by] ?? 0) - (counted.changes?.[by] ?? 0));
    counters.wordsIgnored += Math.max(0, unusable - (counted.unusable ?? 0));
  }

  /** The directory has numbered an instance that is at home here: the instance is told, and other nodes hear it from there. */
  numbered(name: string, id: string, seq: number): void {
    const lender = this.#homes.get(homeKey(name, { instance: id }));
    if (lender === undefined) return;
    if (lender.unnumbered === true) {
      this.#number(name, lender, seq);
      const newest = this.#context.routes.get(name)?.instances.newest ?? null;
      if (!lender.relayed) lender.link.newest(newest === null || newest === id, seq);
    }
    this.#enter(name, lender);
  }

  turnedAway(name: string, id: string): void {
    const lender = this.#homes.get(homeKey(name, { instance: id }));
    if (lender === undefined) return;
    lender.link.turnAway();
    // Nothing more goes to an instance of a key that is one too many.
    if (hasKey(name)) lender.link.dismiss();
  }

  #number(name: string, lender: Lender, seq: number): void {
    if (this.#unentered.has(lender)) {
      lender.seq = seq;
      lender.unnumbered = false;
    } else {
      this.#context.routes.get(name)?.slots.renumber(lender, seq);
    }
  }

  #retire(name: string, lender: Lender): void {
    const { cluster, routes } = this.#context;
    // An instance asks at its home: another linker with its id has no say in whether it leaves.
    if (!this.isHome(name, lender)) {
      lender.link.answerRetire(false);
      return;
    }
    const route = routes.get(name);
    // Nobody leaves while the route is paused.
    if (route?.isPaused === true) {
      lender.link.answerRetire(false);
      return;
    }
    const minInstances = route?.settings.minInstances ?? 0;
    const answered = cluster
      .mayRetire(name, lender.instance, minInstances)
      .catch(() => false)
      .then((may) => {
        if (may) this.#retired.add(lender);
        lender.link.answerRetire(may);
      });
    unawaited('directory', answered);
  }

  gone(name: string, lender: Lender): void {
    const { dispatcher, handoffs, routes } = this.#context;
    handoffs.gone(lender);
    if (this.#retired.delete(lender) && routes.get(name)?.settings.stopCommand !== undefined) {
      this.#context.left(name, { instance: lender.instance, startId: lender.startId });
    }
    this.#unentered.delete(lender);
    this.#leaveHome(name, lender);
    routes.get(name)?.slots.remove(lender);
    // Remembers the route for longer: a client that comes while its linker restarts is held.
    const route = routes.remembered(name);
    if (route === undefined) return;
    route.instances.gone(lender.instance);
    dispatcher.lenderGone(route, lender);
    dispatcher.slotsChanged(route);
    if (route.isKey && route.slots.lenders.length === 0) this.#context.keyLeft(route);
  }

  suspect(name: string, { instance, startId }: Lender): void {
    this.#context.log.warn({ route: name, instance, startId }, 'the first requests to a new instance failed: others are preferred');
    this.#context.cluster.instanceFailed(name, instance, `instance ${instance} fails its first requests`);
  }

  /** Clients wait for it: their responses will say what that time went into. */
  #askWhenBegun(name: string, lender: Lender): void {
    const { startId, birth } = lender;
    if (startId === undefined || birth === undefined) return;
    const begun = this.#context.cluster.startTimes(name, startId).then((times) => {
      if (times === null) return;
      birth.begun(times);
      this.#tellStart(name, lender);
    });
    unawaited('directory', begun);
  }

  /** For estimates of the next cold start. */
  #tellStart(name: string, { startId, birth }: Lender): void {
    const ms = birth?.startMs ?? null;
    if (birth === undefined || startId === undefined || ms === null || birth.told) return;
    birth.told = true;
    unawaited(
      'directory',
      this.#context.cluster.waits.started(name, startId, ms).catch(() => undefined),
    );
  }

  #leaveHome(name: string, lender: Lender): void {
    if (!this.isHome(name, lender)) return;
    this.#homes.delete(homeKey(name, lender));
    this.#context.cluster.instanceGone(name, lender.instance);
  }
}

/** No id and no route's name has a space in it. */
function homeKey(route: string, { instance }: Pick<Lender, 'instance'>): string {
  return `${route} ${instance}`;
}
