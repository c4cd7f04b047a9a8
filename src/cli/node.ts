import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { AdminServer } from '../admin/server.ts';
import { NODE, routeDefaultsOf } from '../config/commands.ts';
import { formatHostPort, parseHostPort } from '../config/host-port.ts';
import { loadCommand } from '../config/load.ts';
import { DEFAULT_ROUTE_SETTINGS } from '../config/route-settings.ts';
import { readVersion } from '../config/version.ts';
import { createLog } from '../log.ts';
import { ProxyNode } from '../node/node.ts';
import { advertisedHost } from './advertised-address.ts';
import { backendTls } from './certificates.ts';
import { setFileRoutes } from './file-routes.ts';
import { followHttpsFiles, readHttpsFiles } from './https-files.ts';
import { alone, throughRedis } from './membership.ts';
import { nodeAdminSource } from './node-admin.ts';
import { showHelp } from './show-help.ts';
import { firstSignal } from './signals.ts';

/** One proxy process: node and admin port, until it is told to leave. */
export async function node(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(NODE, argv);
  if (loaded === null) return showHelp(NODE);
  const { values: settings, routes } = loaded;

  const signalled = firstSignal();
  const asked = Promise.withResolvers<void>();
  const log = createLog('node', settings.logLevel);
  const version = readVersion();
  const certificates = readHttpsFiles(settings);
  const id = settings.id ?? newNodeId();
  const host = await advertisedHost(settings.backend.host, settings.redis);
  const membership =
    settings.redis === undefined ? alone(version, log) : await throughRedis(settings.redis, version, log, routeDefaultsOf(settings));

  const proxy = new ProxyNode({
    ...settings,
    certificates,
    backendTls: backendTls(settings),
    id,
    log,
    cluster: (bound) => membership.join({ id, address: addressOf(settings.advertise, host, bound) }),
    startNeeded: membership.startNeeded,
    instanceLeft: membership.instanceLeft,
    leaveAsked: asked.resolve,
    secrets: () => [settings.secret ?? ''],
    routeDefaults: routeDefaultsOf(settings),
    heldMax: settings.connectionsMax,
  });
  const bound = await proxy.start();
  if (certificates !== undefined) followHttpsFiles(settings, certificates, log);
  const admin = new AdminServer({
    listen: settings.admin,
    token: settings.adminToken,
    log,
    source: nodeAdminSource({
      node: proxy,
      version,
      redis: settings.redis !== undefined,
      startedBy: membership.starts ? 'scalers' : 'nobody',
      // What else a flag of this node may say is the scaler's to decide.
      routeDefaults: { ...DEFAULT_ROUTE_SETTINGS, holdTimeoutMs: settings.holdTimeoutMs, maxHeld: settings.maxHeld },
      jobs: membership.jobs,
      startAnother: membership.starts ? (route) => membership.startNeeded(route, 1) : null,
      leave: asked.resolve,
    }),
  });
  log.info({ ...bound, admin: await admin.start(), id, advertise: proxy.cluster.self.address }, 'ready');
  if (settings.secret === undefined) log.warn('without --secret, whoever reaches the backend port can be a linker');
  const settingRoutes = new AbortController();
  const routesSet = setFileRoutes(proxy.cluster, routes, log, settingRoutes.signal);

  await Promise.race([signalled, asked.promise]);
  log.info('draining');
  settingRoutes.abort();
  await routesSet;
  await proxy.drain(settings.drainTimeoutMs);
  await membership.close();
  await admin.stop();
  log.info('over');
  return 0;
}

function addressOf(advertise: { host: string; port: number } | undefined, host: string, bound: string): string {
  return formatHostPort(advertise ?? { host, port: parseHostPort(bound)?.port ?? 0 });
}

/** Says which machine it is, and differs after each start: what a former process left in the directory is not its own. */
function newNodeId(): string {
  const machine = hostname()
    .replace(/[^\w.-]/g, '')
    .slice(0, 50);
  return `${machine}-${randomBytes(4).toString('hex')}`;
}
