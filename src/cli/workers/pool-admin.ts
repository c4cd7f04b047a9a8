/** The admin port of several workers: any worker can tell the state of the cluster, and their counts are summed. */
import type { AdminSource } from '../../admin/admin-source.ts';
import type { MetricsSnapshot } from '../../admin/metrics-source.ts';
import { countersOnly, sumMetrics } from '../../admin/sum-metrics.ts';
import { type InternalErrors, internalErrorCounts, internalErrors } from '../../boundary.ts';
import type { WorkerPool } from '../../workers/worker-pool.ts';
import type { WorkerProcess } from '../../workers/worker-process.ts';
import type { WorkerFacts } from './worker.ts';

const NOTHING: MetricsSnapshot = { routes: [], handoffs: {}, redisCommands: 0, redisConnected: null };

/** Counters do not jump when a worker is replaced: its counts stay in the sums. */
export class WorkerPoolMetrics {
  readonly #last = new Map<WorkerProcess, MetricsSnapshot>();
  #gone: MetricsSnapshot | null = null;

  async read(workers: readonly WorkerProcess[]): Promise<MetricsSnapshot> {
    await Promise.all(
      workers.map(async (worker) => {
        const snapshot = await worker.call('metrics').catch(() => null);
        // It may have ended meanwhile: then its counts are among those of ended workers.
        if (snapshot !== null && worker.state !== 'over') this.#last.set(worker, snapshot as MetricsSnapshot);
      }),
    );
    const own: MetricsSnapshot = { ...NOTHING, internalErrors: internalErrorCounts() };
    return sumMetrics([own, ...this.#last.values(), ...(this.#gone === null ? [] : [this.#gone])]);
  }

  gone(worker: WorkerProcess): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last === undefined) return;
    const counters = countersOnly(last);
    this.#gone = this.#gone === null ? counters : sumMetrics([this.#gone, counters]);
  }
}

export interface PoolActions {
  /** Begins to drain all workers. */
  readonly leave: (delayMs?: number) => void;
  readonly reload: AdminSource['reload'];
}

export function poolAdminSource(pool: WorkerPool, metrics: WorkerPoolMetrics, { leave, reload }: PoolActions): AdminSource {
  const one = (): WorkerProcess => {
    const [first] = pool.serving;
    if (first === undefined) throw new Error('no worker serves now');
    return first;
  };
  const facts = (): WorkerFacts[] => pool.serving.map((worker) => worker.facts as WorkerFacts);
  const { version, startedBy, routeDefaults } = (one().facts as WorkerFacts).source;
  let draining = false;
  return {
    version,
    startedBy,
    routeDefaults,
    get draining() {
      return draining || pool.serving.length === 0;
    },
    get joined() {
      return facts().every((one) => one.joined);
    },
    /** Summed over all workers. */
    get redisConnected() {
      const connected = facts().map(({ redisConnected }) => redisConnected);
      return connected.length > 0 && connected.every((yes) => yes === true);
    },
    get redisRefusal() {
      return facts().find(({ redisRefusal }) => redisRefusal !== null)?.redisRefusal ?? null;
    },
    /** Sums the supervisor and the present workers. */
    get internalErrors() {
      return sumErrors([internalErrors(), ...facts().map((worker) => worker.internalErrors)]);
    },
    drain(delayMs) {
      draining = true;
      leave(delayMs);
    },
    state: async () => (await one().call('state')) as Awaited<ReturnType<AdminSource['state']>>,
    jobs: async (max) => (await one().call('jobs', [max])) as Awaited<ReturnType<AdminSource['jobs']>>,
    changeJob: async (id, change) => (await one().call('changeJob', [id, change])) as Awaited<ReturnType<AdminSource['changeJob']>>,
    events: async (after, max) => (await one().call('events', [after, max])) as Awaited<ReturnType<AdminSource['events']>>,
    reload,
    history: async (route) => (await one().call('history', [route])) as Awaited<ReturnType<AdminSource['history']>>,
    forgetNode: async (id) => (await one().call('forgetNode', [id])) as boolean,
    metrics: () => metrics.read(pool.serving),
    drainNode: async (id, delayMs) => (await one().call('drainNode', [id, delayMs])) as Awaited<ReturnType<AdminSource['drainNode']>>,
    setRoute: async (name, settings) => void (await one().call('setRoute', [name, settings])),
    deleteRoute: async (name) => void (await one().call('deleteRoute', [name])),
    start: async (name) => (await one().call('start', [name])) as Awaited<ReturnType<AdminSource['start']>>,
    pause: async (name, options) => (await one().call('pause', [name, options])) as Awaited<ReturnType<AdminSource['pause']>>,
    resume: async (name) => (await one().call('resume', [name])) as boolean,
    restart: async (name) => (await one().call('restart', [name])) as Awaited<ReturnType<AdminSource['restart']>>,
  };
}

function sumErrors(all: readonly Readonly<Record<string, InternalErrors>>[]): Record<string, InternalErrors> {
  const sums: Record<string, InternalErrors> = {};
  for (const [where, errors] of all.flatMap((one) => Object.entries(one))) {
    const before = sums[where];
    const latest = before === undefined || errors.ageMs <= before.ageMs ? errors : before;
    sums[where] = { ...latest, count: errors.count + (before?.count ?? 0) };
  }
  return sums;
}
