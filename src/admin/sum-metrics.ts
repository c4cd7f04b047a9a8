/** Sums the numbers of several processes. */
import type { HistogramNumbers, MetricsSnapshot, RouteCounts, RouteNumbers } from './metrics-source.ts';

/** `starting` is the number of the whole cluster in each of them; it is not summed. */
export function sumMetrics(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const routes = new Map<string, RouteNumbers>();
  for (const route of snapshots.flatMap((snapshot) => snapshot.routes)) {
    const before = routes.get(route.name);
    routes.set(route.name, before === undefined ? route : sumRoutes(before, route));
  }
  const connected = snapshots.flatMap(({ redisConnected }) => (redisConnected === null ? [] : [redisConnected]));
  const dropped = snapshots.flatMap(({ accessLogDropped }) => accessLogDropped ?? []);
  return {
    routes: [...routes.values()],
    unrouted: sumMaps(snapshots.map(({ unrouted }) => unrouted ?? new Map())),
    handoffs: sumRecords(snapshots.map(({ handoffs }) => handoffs)),
    ...(dropped.length === 0 ? {} : { accessLogDropped: dropped.reduce((sum, lines) => sum + lines, 0) }),
    internalErrors: sumRecords(snapshots.map(({ internalErrors }) => internalErrors ?? {})),
    events: sumRecords(snapshots.map(({ events }) => events ?? {})),
    // The same files.
    certificates: new Map(snapshots.flatMap(({ certificates }) => [...(certificates ?? [])])),
    redisCommands: snapshots.reduce((sum, { redisCommands }) => sum + redisCommands, 0),
    redisConnected: connected.length === 0 ? null : connected.every(Boolean),
    redisRefuses: snapshots.some(({ redisRefuses }) => redisRefuses === true),
  };
}

/** The counters of a process that has ended, which stay in the sum. */
export function countersOnly(snapshot: MetricsSnapshot): MetricsSnapshot {
  return {
    ...snapshot,
    routes: snapshot.routes.map(({ name, counts }) => ({ name, held: 0, active: 0, slots: 0, free: 0, instances: 0, counts })),
    redisConnected: null,
    redisRefuses: false,
  };
}

/** `starting` is the same number in both. */
export function sumRoutes(a: RouteNumbers, b: RouteNumbers): RouteNumbers {
  const starting = a.starting ?? b.starting;
  return {
    name: a.name,
    held: a.held + b.held,
    active: a.active + b.active,
    slots: a.slots + b.slots,
    free: a.free + b.free,
    instances: a.instances + b.instances,
    ...(a.paused === true || b.paused === true ? { paused: true } : {}),
    ...sumOverloads(a, b),
    ...(starting === undefined ? {} : { starting }),
    ...sumAgents(a, b),
    counts: sumCounts(a.counts, b.counts),
  };
}

function sumCounts(a: RouteCounts, b: RouteCounts): RouteCounts {
  const stages = new Set([...Object.keys(a.coldStages ?? {}), ...Object.keys(b.coldStages ?? {})]);
  return {
    codes: sumMaps([a.codes, b.codes]),
    hold: sumHistograms(a.hold, b.hold),
    coldStart: sumHistograms(a.coldStart, b.coldStart),
    ...sumEstimates(a, b),
    requests: sumHistograms(a.requests, b.requests),
    agentStarts: sumMaps([a.agentStarts ?? new Map(), b.agentStarts ?? new Map()]),
    limitChanges: sumMaps([a.limitChanges ?? new Map(), b.limitChanges ?? new Map()]),
    wordsIgnored: (a.wordsIgnored ?? 0) + (b.wordsIgnored ?? 0),
    overloadRefused: (a.overloadRefused ?? 0) + (b.overloadRefused ?? 0),
    ...sumAffinity(a, b),
    coldStages: Object.fromEntries([...stages].map((stage) => [stage, sumHistograms(a.coldStages?.[stage], b.coldStages?.[stage])])),
  };
}

/** The shortest wait counts. */
function sumOverloads({ overloadMs: a }: RouteNumbers, { overloadMs: b }: RouteNumbers): Pick<RouteNumbers, 'overloadMs'> {
  if (a === undefined && b === undefined) return {};
  const there = [a ?? 0, b ?? 0].filter((ms) => ms > 0);
  return { overloadMs: there.length === 0 ? 0 : Math.min(...there) };
}

function sumAgents({ agents: a }: RouteNumbers, { agents: b }: RouteNumbers): Pick<RouteNumbers, 'agents'> {
  const one = a ?? b;
  if (one === undefined) return {};
  if (a === undefined || b === undefined) return { agents: one };
  return { agents: { count: a.count + b.count, room: a.room + b.room, running: a.running + b.running } };
}

function sumAffinity({ affinity: a }: RouteCounts, { affinity: b }: RouteCounts): Pick<RouteCounts, 'affinity'> {
  const one = a ?? b;
  if (one === undefined) return {};
  if (a === undefined || b === undefined) return { affinity: one };
  return { affinity: { hit: a.hit + b.hit, miss: a.miss + b.miss, gone: a.gone + b.gone } };
}

/** Most routes have none. */
function sumEstimates(a: RouteCounts, b: RouteCounts): Pick<RouteCounts, 'estimates' | 'estimateErrors'> {
  if (a.estimates === undefined && b.estimates === undefined) return {};
  return { estimates: sumHistograms(a.estimates, b.estimates), estimateErrors: sumHistograms(a.estimateErrors, b.estimateErrors) };
}

function sumHistograms(a: HistogramNumbers | undefined, b: HistogramNumbers | undefined): HistogramNumbers {
  const { bounds = [] } = a ?? b ?? {};
  const counts = Array.from({ length: bounds.length + 1 }, (_, i) => (a?.counts[i] ?? 0) + (b?.counts[i] ?? 0));
  return { bounds, counts, sum: (a?.sum ?? 0) + (b?.sum ?? 0) };
}

function sumMaps<K>(maps: readonly ReadonlyMap<K, number>[]): Map<K, number> {
  const sums = new Map<K, number>();
  for (const [key, value] of maps.flatMap((map) => [...map])) sums.set(key, (sums.get(key) ?? 0) + value);
  return sums;
}

function sumRecords(records: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  return Object.fromEntries(sumMaps(records.map((record) => new Map(Object.entries(record)))));
}
