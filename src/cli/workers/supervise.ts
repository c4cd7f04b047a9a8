import { createServer } from 'node:net';
import { AdminServer } from '../../admin/server.ts';
import { bind } from '../../bind.ts';
import { unawaited } from '../../boundary.ts';
import { NODE } from '../../config/commands/node.ts';
import { formatHostPort, type HostPort } from '../../config/host-port.ts';
import { formatListenUrl, type ListenUrl } from '../../config/listen-url.ts';
import type { Values } from '../../config/settings.ts';
import { changeLogLevel, type Log } from '../../log.ts';
import { WorkerPool } from '../../workers/worker-pool.ts';
import { WorkerProcess } from '../../workers/worker-process.ts';
import { inTurns } from '../files/in-turns.ts';
import { warnOfWeakSecrets } from '../files/secrets.ts';
import { rotateTicketKeys } from '../files/ticket-keys.ts';
import { loadSettled } from '../node/load-settled.ts';
import { LIVE, type NodeLoaded, type NodePlace, newNodeId } from '../node/open-node.ts';
import { Reloading } from '../node/reloading.ts';
import type { LastResort } from '../process/last-resort.ts';
import { Hangups, logIgnoredSignals, onSignals } from '../process/signals.ts';
import { poolAdminSource, WorkerPoolMetrics } from './pool-admin.ts';
import { reloadWorkers } from './reload-workers.ts';

type NodeSettings = Values<(typeof NODE)['settings']>;

/** A worker that drains for too long is killed after this time. */
const OVERDUE_MS = 10_000;

/**
 * Several workers on one machine, each a process and a node of its own in the directory. They share the ports for clients and the
 * backend port. Each also has a backend port of its own, at which linkers find it when slots move there.
 */
export async function supervise(argv: readonly string[], loaded: NodeLoaded, log: Log, net: LastResort): Promise<number> {
  const settings = loaded.values;
  const asked = Promise.withResolvers<number | undefined>();
  const id = settings.id ?? newNodeId();
  const listen = await Promise.all(settings.listen.map(fixedListen));
  const sharedBackend = await fixedPort(settings.backend);
  const metrics = new WorkerPoolMetrics();
  const workers = new Set<WorkerProcess>();
  let keys: readonly Buffer[] = [];
  rotateTicketKeys((made) => {
    keys = made;
    for (const worker of workers) worker.giveTicketKeys(keys);
  });
  const pool = new WorkerPool({
    size: settings.workers,
    start: (number) => {
      const place: NodePlace & { number: number } = { ...placeOf(number, id, settings), listen, sharedBackend, number };
      const self = [...process.execArgv, process.argv[1] as string];
      const worker = new WorkerProcess([process.execPath, ...self, 'worker', JSON.stringify(place), ...argv]);
      worker.onReloadAsked = () => void reload().catch(() => {});
      workers.add(worker);
      // Not on its command line, which others on this machine can read.
      worker.giveTicketKeys(keys);
      return worker;
    },
    ended: (worker) => {
      workers.delete(worker);
      metrics.gone(worker);
    },
    log,
  });
  onSignals(
    () => asked.resolve(undefined),
    (code) => {
      pool.kill();
      process.exit(code);
    },
  );
  logIgnoredSignals(log, ['SIGHUP', 'SIGUSR2']);
  let isLeaving = false;
  const load = () => loadSettled(argv, settings);
  const own = new Reloading({ settings: NODE.settings, running: loaded, load, parts: [], live: LIVE, isLeaving: () => isLeaving, log });
  const reload = inTurns(() => reloadWorkers(pool.serving, own, log));
  const hangups = new Hangups();
  process.on('SIGUSR2', () =>
    unawaited(
      'worker',
      pool.restartAll().then(() => log.info('all workers were restarted')),
    ),
  );

  // Signals count while the workers start, too.
  const started = pool.start();
  const isServing = await Promise.race([started.then(() => true), asked.promise.then(() => false)]);
  if (!isServing) {
    log.info('supervisor draining');
    await pool.leave(net.drainMs(own.values.drainTimeoutMs) + OVERDUE_MS);
    log.info('supervisor stopped');
    return net.exitCode(0);
  }
  const source = poolAdminSource(pool, metrics, { leave: asked.resolve, reload });
  const admin = new AdminServer({
    listen: settings.admin,
    token: settings.adminToken,
    metricsOpen: settings.adminMetricsOpen,
    log,
    source,
  });
  const bound = { listen: listen.map(formatListenUrl), backend: formatHostPort(sharedBackend), admin: await admin.start() };
  log.info({ ...bound, id, workers: settings.workers }, 'ready');
  warnOfWeakSecrets(settings, log);
  own.onApplied(({ logLevel, adminToken: token, adminMetricsOpen: metricsOpen }) => {
    changeLogLevel(log, logLevel);
    admin.renewed({ token, metricsOpen });
  });
  hangups.each(() => void reload().catch(() => {}));

  const delayMs = await Promise.race([asked.promise, net.broken.then(() => 0)]);
  isLeaving = true;
  log.info('supervisor draining');
  const { drainTimeoutMs, drainDelayMs } = own.values;
  await pool.leave(net.drainMs(drainTimeoutMs) + OVERDUE_MS, delayMs ?? drainDelayMs);
  await admin.stop();
  log.info('supervisor stopped');
  return net.exitCode(0);
}

/** The ports after the given one belong to one worker each; with port 0 the workers take free ports too. */
function placeOf(number: number, id: string, { backend, advertise }: NodeSettings): Omit<NodePlace, 'listen' | 'sharedBackend'> {
  const own = backend.port === 0 ? 0 : backend.port + number;
  return {
    id: `${id}.${number}`,
    backend: { host: backend.host, port: own },
    ...(advertise === undefined ? {} : { advertise: { host: advertise.host, port: advertise.port + number } }),
  };
}

async function fixedListen(url: ListenUrl): Promise<ListenUrl> {
  return { ...url, ...(await fixedPort(url)) };
}

/** Several processes can't each take a free port: they need the same one. */
async function fixedPort({ host, port }: HostPort): Promise<HostPort> {
  if (port !== 0) return { host, port };
  const server = createServer();
  const bound = await bind(server, { host, port: 0 });
  await new Promise((resolve) => server.close(resolve));
  return { host, port: bound.port };
}
