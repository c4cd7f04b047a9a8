/** The admin port of a scaler: the state of the cluster from the directory, and the commands that this scaler ran. */
import type { AdminSource } from '../../admin/admin-source.ts';
import type { MetricsSnapshot } from '../../admin/metrics-source.ts';
import { internalErrorCounts, internalErrors } from '../../boundary.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import { PauseBarrier } from '../../cluster/pause-barrier.ts';
import { DEFAULT_ROUTE_SETTINGS, writeRouteSettings } from '../../config/route-settings.ts';
import type { EventRecorder } from '../../events/recorder.ts';
import type { CommandCount } from '../../scaling/command-runner.ts';
import { type StartCount, startCounts } from '../../scaling/ended-starts.ts';
import type { StartRate } from '../../scaling/startup-job.ts';
import { restartWith } from './restart-with.ts';

export interface ScalerParts {
  readonly directory: StartDirectory;
  /** Whether Redis has answered once. */
  readonly isJoined: () => boolean;
  readonly worker: { stats(): { readonly commands: readonly CommandCount[]; readonly starts: readonly StartCount[] } };
  readonly queue: { request(route: string, force: number): void; order(route: string): Promise<void> };
  readonly jobs: AdminSource['jobs'];
  readonly rate: () => Promise<StartRate | null>;
  readonly changeJob: AdminSource['changeJob'];
  readonly version: string;
  readonly recorder: EventRecorder;
  /** Begins to drain. */
  readonly leave: () => void;
}

export function scalerAdminSource({
  directory,
  isJoined,
  worker,
  queue,
  jobs,
  rate,
  changeJob,
  version,
  recorder,
  leave,
}: ScalerParts): AdminSource {
  let draining = false;
  const pauses = new PauseBarrier(directory);
  return {
    version,
    startedBy: 'scalers',
    routeDefaults: writeRouteSettings(DEFAULT_ROUTE_SETTINGS),
    jobs,
    drainNode: async () => 'impossible',
    reload: null,
    get draining() {
      return draining;
    },
    get joined() {
      return isJoined();
    },
    get redisConnected() {
      return directory.connected;
    },
    get redisRefusal() {
      return directory.refusal;
    },
    get internalErrors() {
      return internalErrors();
    },
    drain() {
      draining = true;
      leave();
    },
    async state() {
      return { node: null, redis: { connected: directory.connected }, ...(await directory.snapshot()) };
    },
    changeJob,
    events: (after, max) => recorder.read(directory, after, max),
    history: (route) => directory.history.read(route),
    forgetNode: (id) => directory.forgetMissing(id),
    async metrics() {
      const startRate = await rate();
      return {
        // The numbers of routes come from the nodes.
        routes: [],
        handoffs: {},
        startupCommands: commandCounts(worker.stats().commands),
        starts: startCounts(worker.stats().starts),
        ...(startRate === null ? {} : { startRate }),
        internalErrors: internalErrorCounts(),
        events: recorder.counts,
        redisCommands: directory.commands,
        redisConnected: directory.connected,
        redisRefuses: directory.refusal !== null,
      };
    },
    setRoute: (name, settings) => directory.setRoute(name, settings),
    deleteRoute: (name) => directory.setRoute(name, null),
    async start(name) {
      const known = (await directory.route(name)) !== null || (await directory.snapshot()).routes.some((route) => route.name === name);
      if (!known) return 'unknown';
      queue.request(name, 1);
      return 'asked';
    },
    pause: (name, options) => pauses.pause(name, options),
    resume: (name) => pauses.resume(name),
    restart: (name) => restartWith(directory, (one) => queue.order(one), name),
  };
}

/** Startup commands by route and result. */
function commandCounts(commands: readonly CommandCount[]): NonNullable<MetricsSnapshot['startupCommands']> {
  const routes = new Map<string, Record<string, number>>();
  for (const { route, result, count } of commands) routes.set(route, { ...routes.get(route), [result]: count });
  return routes;
}
