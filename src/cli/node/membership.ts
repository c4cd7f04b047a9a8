/** Joins a node to the cluster: through Redis, or alone in memory. */
import { unawaited } from '../../boundary.ts';
import type { Cluster, Peer } from '../../cluster/cluster.ts';
import type { DeclarationsKept } from '../../cluster/declarations.ts';
import { MemoryDirectory } from '../../cluster/memory/directory.ts';
import { createMemoryCluster } from '../../cluster/memory/open.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';
import type * as AgentStarts from '../../scaling/agent-starts.ts';
import type { Leaver } from '../../scaling/command-runner.ts';
import type { LocalScaler } from '../../scaling/local.ts';
import type { JobChange, StartupJobs } from '../../scaling/startup-job.ts';
import { restartWith } from '../scaler/restart-with.ts';

export interface Membership {
  /** Called once, when the node knows its own address. */
  readonly join: (self: Peer) => Cluster;
  /** Clients of `route` wait and no slot is known; with `force`, that many more instances are wanted in any case. */
  readonly startNeeded: (route: string, force?: number) => void;
  /** An instance of a route with a stop command has left. */
  readonly instanceLeft: (route: string, leaver: Leaver) => void;
  /** Whether `startNeeded` has an effect. */
  readonly starts: boolean;
  /** Replaces every instance of the route by a newer one; resolves with their number. Null when nothing can start instances. */
  readonly restart: ((route: string) => Promise<number>) | null;
  /** At most that many startup jobs in each state; null when they are not known. */
  readonly jobs: (max: number) => Promise<StartupJobs | null>;
  readonly changeJob: (id: string, change: 'retry' | 'remove') => Promise<JobChange | 'impossible'>;
  readonly close: () => Promise<void>;
}

/** Agents start instances, if any are linked; otherwise an operator runs linkers by hand. */
export function alone(version: string, log: Log, kept?: DeclarationsKept): Membership {
  const directory = new MemoryDirectory();
  const { agents } = directory;
  let scaler: LocalScaler | null = null;
  const begin = (Scaler: typeof LocalScaler, { giveToAgent, NobodyTookIt }: typeof AgentStarts): LocalScaler =>
    new Scaler({
      directory,
      room: async (route) => (await agents.room(route)).room,
      start: async ({ route, startId }) => {
        if ((await giveToAgent(agents, route, startId)) === null) throw new NobodyTookIt(`no agent of ${route} has taken the start`);
      },
      log,
    });
  const look = async (route: string, force?: number): Promise<void> => {
    if ((await agents.room(route)).agents === 0) return;
    // Loaded for the first agent: most nodes that run alone have none.
    const { LocalScaler } = await import('../../scaling/local.ts');
    const agentStarts = await import('../../scaling/agent-starts.ts');
    scaler ??= begin(LocalScaler, agentStarts);
    scaler.request(route, force);
  };
  return {
    join: (self) => createMemoryCluster({ self, version, log, kept, directory }).cluster,
    startNeeded: (route, force) => unawaited('job', look(route, force)),
    instanceLeft: () => {},
    starts: false,
    restart: null,
    jobs: async () => null,
    changeJob: async () => 'impossible',
    close: async () => scaler?.close(),
  };
}

/** Startup jobs go to the scalers, through the same Redis; `defaults` are the settings of routes without their own. */
export async function throughRedis(
  url: string,
  version: string,
  log: Log,
  defaults: RouteSettings,
  kept?: DeclarationsKept,
): Promise<Membership> {
  // Loaded only with Redis: a node that runs alone stays small.
  const { createRedisCluster } = await import('../../cluster/redis/open.ts');
  const { StartupQueue } = await import('../../scaling/startup-queue.ts');
  const { StartupJobReader } = await import('../../scaling/startup-job-reader.ts');
  const reader = new StartupJobReader(url);
  let queue: InstanceType<typeof StartupQueue> | null = null;
  let restart = async (_route: string): Promise<number> => 0;
  return {
    join(self) {
      const { cluster, directory } = createRedisCluster({ url, self, version, log, kept });
      const startups = new StartupQueue({ redisUrl: url, directory, defaults, log });
      queue = startups;
      restart = (route) => restartWith(directory, (name) => startups.order(name), route);
      return cluster;
    },
    startNeeded: (route, force) => queue?.request(route, force),
    instanceLeft: (route, leaver) => queue?.left(route, leaver),
    starts: true,
    restart: (route) => restart(route),
    jobs: (max) => reader.read(max),
    changeJob: (id, change) => reader[change](id),
    async close() {
      await Promise.all([queue?.close(), reader.close()]);
    },
  };
}
