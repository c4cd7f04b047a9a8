/** Parts of a picture of the cluster, for tests to vary. */
import type { ClusterState } from '../../../src/admin/admin-source.ts';
import type { InstanceSnapshot, NodeSnapshot, RouteSnapshot } from '../../../src/cluster/cluster.ts';
import type { StartupJobFacts, StartupRun } from '../../../src/scaling/startup-job.ts';

/** The moment of all pictures: ms since the epoch. */
export const NOW = 1_700_000_000_000;

export function aRoute(changes: Partial<RouteSnapshot> = {}): RouteSnapshot {
  return {
    name: 'example.com',
    held: 0,
    oldestHeldMs: 0,
    waitMs: null,
    active: 0,
    slots: 0,
    free: 0,
    starting: 0,
    starts: [],
    instances: [],
    settings: null,
    trouble: null,
    paused: null,
    overload: null,
    ...changes,
  };
}

export function anInstance(changes: Partial<InstanceSnapshot> = {}): InstanceSnapshot {
  return { id: 'i1', seq: NOW - 60_000, concurrency: 10, active: 0, node: 'a', state: 'ready', ...changes };
}

export function aNode(changes: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return {
    id: 'a',
    address: '10.0.0.1:9080',
    version: '1.2.3',
    heartbeatAgeMs: 400,
    held: 0,
    active: 0,
    links: 0,
    draining: false,
    holds: {},
    coldStarts: {},
    ...changes,
  };
}

export function aState(changes: Partial<ClusterState> = {}): ClusterState {
  return { node: 'a', redis: { connected: true }, nodes: [aNode()], routes: [], ...changes };
}

export function aRun(changes: Partial<StartupRun> = {}): StartupRun {
  return { startId: 's1', count: 1, endedAt: NOW - 1_000, durationMs: 120, exitCode: 0, failure: null, output: '', ...changes };
}

export function aJob(changes: Partial<StartupJobFacts> = {}): StartupJobFacts {
  return {
    id: '1',
    route: 'example.com',
    state: 'active',
    attempts: 0,
    attemptsMax: 5,
    forced: 0,
    orderedAt: NOW - 2_000,
    beganAt: NOW - 1_900,
    endedAt: null,
    nextTryAt: null,
    failure: null,
    runs: [],
    ...changes,
  };
}
