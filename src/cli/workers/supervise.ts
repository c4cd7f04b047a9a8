import { createServer } from 'node:net';
import { AdminServer } from '../../admin/server.ts';
import { bind } from '../../bind.ts';
import { unawaited } from '../../boundary.ts';
import type { NODE } from '../../config/commands/node.ts';
import { formatHostPort, type HostPort } from '../../config/host-port.ts';
import { formatListenUrl, type ListenUrl } from '../../config/listen-url.ts';
import type { Values } from '../../config/settings.ts';
import type { Log } from '../../log.ts';
import { WorkerPool } from '../../workers/worker-pool.ts';
import { WorkerProcess } from '../../workers/worker-process.ts';
import { warnOfWeakSecrets } from '../files/secrets.ts';
import { rotateTicketKeys } from '../files/ticket-keys.ts';
import { type NodePlace, newNodeId } from '../node/open-node.ts';
import type { LastResort } from '../process/last-resort.ts';
import { logIgnoredSignals, onSignals } from '../process/signals.ts';
import { poolAdminSource, WorkerPoolMetrics } from './pool-admin.ts';

type NodeSettings = Values<(typeof NODE)['settings']>;

/** A worker that drains for too long is killed after this time. */
const OVERDUE_MS = 10_000;

/**
 * Several workers on one machine, each a process and a node of its own in the directory. They share the ports for clients and the
 * backend port. Each also has a backend port of its own, at which linkers find it when slots move there.
 */
export async function supervise(argv: readonly string[], settings: NodeSettings, log: Log, net: LastResort): Promise<number> {
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
  logIgnoredSignals(log, ['SIGHUP']);
  process.on('SIGHUP', () =>
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
    await pool.leave(net.drainMs(settings.drainTimeoutMs) + OVERDUE_MS);
    log.info('supervisor stopped');
    return net.exitCode(0);
  }
  const source = poolAdminSource(pool, metrics, asked.resolve);
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

  const delayMs = await Promise.race([asked.promise, net.broken.then(() => 0)]);
  log.info('supervisor draining');
  await pool.leave(net.drainMs(settings.drainTimeoutMs) + OVERDUE_MS, delayMs ?? settings.drainDelayMs);
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
