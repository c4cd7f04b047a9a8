/** The admin port of a node: its state and its actions. */
import type { AdminSource, ClusterState } from '../../admin/admin-source.ts';
import { foldKeyNumbers } from '../../admin/folded-keys.ts';
import type { MetricsSnapshot, RouteNumbers } from '../../admin/metrics-source.ts';
import { internalErrorCounts, internalErrors } from '../../boundary.ts';
import type { RouteSnapshot } from '../../cluster/cluster.ts';
import { routeOf } from '../../config/route-key.ts';
import { type RouteSettings, writeRouteSettings } from '../../config/route-settings.ts';
import type { EventRecorder } from '../../events/recorder.ts';
import { ColdStageCounters } from '../../node/matching/cold-start.ts';
import { RouteCounters } from '../../node/matching/counters.ts';
import type { Route } from '../../node/matching/route.ts';
import type { ProxyNode } from '../../node/node.ts';
import type { StartupJobs } from '../../scaling/startup-job.ts';

export interface NodeParts {
  readonly node: ProxyNode;
  readonly version: string;
  /** Whether a Redis is configured. */
  readonly redis: boolean;
  readonly startedBy: AdminSource['startedBy'];
  /** Settings of routes without their own. */
  readonly routeDefaults: RouteSettings;
  /** Asks for one more instance; null when nothing can start instances. */
  readonly startAnother: ((route: string) => void) | null;
  /** Replaces every instance of a route; resolves with their number. Null when nothing can start instances. */
  readonly restart: ((route: string) => Promise<number>) | null;
  /** At most that many startup jobs in each state; null when they are not known. */
  readonly jobs: (max: number) => Promise<StartupJobs | null>;
  readonly changeJob: AdminSource['changeJob'];
  /** Begins to drain. */
  readonly leave: (delayMs?: number) => void;
  /** Reads the configuration anew; null where nothing is read anew. */
  readonly reload: AdminSource['reload'];
  readonly startupCommands?: () => MetricsSnapshot['startupCommands'];
  readonly starts?: () => MetricsSnapshot['starts'];
  /** Lines of the access log without room; undefined without an access log. */
  readonly accessLogDropped?: () => number | undefined;
  readonly recorder: EventRecorder;
  /** Absent: nothing is served by TLS. */
  readonly certificates?: { readonly expiries: ReadonlyMap<string, number> };
}

export function nodeAdminSource(parts: NodeParts): AdminSource {
  const { node, version, redis, startedBy, startAnother, jobs, leave } = parts;
  const { cluster } = node;
  const redisConnected = (): boolean | null => (redis ? cluster.connected : null);
  let draining = false;
  return {
    version,
    startedBy,
    routeDefaults: writeRouteSettings(parts.routeDefaults),
    jobs,
    get draining() {
      return draining || node.draining;
    },
    get joined() {
      return !redis || cluster.joined;
    },
    get redisConnected() {
      return redisConnected();
    },
    get redisRefusal() {
      return cluster.refusal;
    },
    get internalErrors() {
      return internalErrors();
    },
    drain(delayMs) {
      draining = true;
      leave(delayMs);
    },
    async drainNode(id, delayMs) {
      if (id === cluster.self.id) this.drain(delayMs);
      else if (!(await cluster.askToLeave(id, delayMs))) return 'unknown';
      return 'asked';
    },
    async state() {
      const snapshot = cluster.connected ? await cluster.snapshot() : ownPicture(parts);
      return { node: cluster.self.id, redis: { connected: redisConnected() }, ...snapshot };
    },
    changeJob: parts.changeJob,
    events: (after, max) => parts.recorder.read(cluster, after, max),
    reload: parts.reload,
    history: (route) => cluster.history.read(route),
    forgetNode: (id) => cluster.forgetNode(id),
    async metrics() {
      return {
        routes: foldKeyNumbers([...node.routes.all()].map((route) => numbersOf(node, route))),
        unrouted: node.frontDoor.unrouted.codes,
        handoffs: node.handoffs.results,
        startupCommands: parts.startupCommands?.(),
        starts: parts.starts?.() ?? new Map(),
        accessLogDropped: parts.accessLogDropped?.(),
        internalErrors: internalErrorCounts(),
        events: parts.recorder.counts,
        certificates: parts.certificates?.expiries ?? new Map(),
        redisCommands: cluster.commands,
        redisConnected: redisConnected(),
        redisRefuses: cluster.refusal !== null,
      };
    },
    setRoute: (name, settings) => cluster.setRoute(name, settings),
    deleteRoute: (name) => cluster.setRoute(name, null),
    async start(name) {
      if (node.routes.get(routeOf(name)) === undefined && (await cluster.linkedRoute([name])) === null) return 'unknown';
      startAnother?.(name);
      return startAnother === null ? 'impossible' : 'asked';
    },
    pause: (name, options) => cluster.routePauses.pause(name, options),
    resume: (name) => cluster.routePauses.resume(name),
    restart: async (name) => parts.restart?.(name) ?? 'impossible',
  };
}

/** The counters of a key are its route's. */
const NOTHING_COUNTED = { counters: new RouteCounters(), coldStages: new ColdStageCounters() };

function numbersOf(node: ProxyNode, route: Route): RouteNumbers {
  const { slots, free, active } = slotsOf(route);
  const { counters, coldStages } = route.parent === null ? route : NOTHING_COUNTED;
  const { codes, hold, coldStart, requests, agentStarts, limitChanges, wordsIgnored, overloadRefused, affinity } = counters;
  const { estimates, errors } = route.waits;
  return {
    name: route.name,
    held: route.heldHere,
    active,
    paused: node.pauses.leftMs(route.name) > 0,
    // No client has left while it was held: there was no overload.
    ...(route.crowds === null ? {} : { overloadMs: route.overloadMs(performance.now()) ?? 0 }),
    slots,
    free,
    instances: node.homes(route),
    ...node.agents(route.name),
    starting: node.cluster.starting(route.name),
    counts: {
      codes,
      hold,
      ...(estimates === null || errors === null ? {} : { estimates, estimateErrors: errors }),
      coldStart,
      requests,
      coldStages: coldStages.histograms,
      agentStarts,
      limitChanges,
      wordsIgnored,
      overloadRefused,
      affinity,
    },
  };
}

/** While the directory is away, a node knows only itself. */
function ownPicture({ node, version }: NodeParts): Pick<ClusterState, 'nodes' | 'routes'> {
  const { id, address } = node.cluster.self;
  const routes = [...node.routes.all()];
  const links = new Set(routes.flatMap(({ slots }) => slots.lenders)).size;
  return {
    nodes: [
      {
        id,
        address,
        version,
        heartbeatAgeMs: 0,
        held: node.held,
        active: node.active,
        links,
        draining: node.draining,
        holds: {},
        coldStarts: {},
      },
    ],
    routes: routes.map((route) => ({ ...ownRoute(route, id, node.pauses), ...node.agents(route.name) })),
  };
}

function ownRoute(route: Route, node: string, pauses: ProxyNode['pauses']): RouteSnapshot {
  const instances = route.slots.lenders
    .filter(({ relayed }) => !relayed)
    .map(({ instance, seq, concurrency, setBy, version, link }) => ({
      id: instance,
      seq,
      concurrency,
      ...(setBy === undefined ? {} : { setBy }),
      active: link.active,
      node,
      state: concurrency === 0 ? ('paused' as const) : ('ready' as const),
      ...(version === undefined ? {} : { version }),
    }));
  const overloadMs = route.overloadMs(performance.now());
  return {
    name: route.name,
    held: route.heldHere,
    waitMs: rounded(slotsOf(route).free > 0 ? 0 : route.newcomerWaitMs(performance.now())),
    oldestHeldMs: Math.round(performance.now() - (route.held.oldest?.arrivedAt ?? performance.now())),
    starting: 0,
    starts: [],
    ...slotsOf(route),
    instances,
    settings: route.standing.configured ? writeRouteSettings(route.settings) : null,
    trouble: null,
    paused: pauses.of(route.name),
    overload: overloadMs === null ? null : { waitMs: Math.round(overloadMs) },
  };
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}

function slotsOf({ slots: { lenders } }: Route): { slots: number; free: number; active: number } {
  const sum = (read: (lender: (typeof lenders)[number]) => number): number => lenders.reduce((total, lender) => total + read(lender), 0);
  const free = sum(({ link }) => link.idle);
  const active = sum(({ link }) => link.active);
  return { slots: free + active, free, active };
}
