/** A node that runs alone and starts the instances of what it discovers: all in one process, in memory. */
import { randomBytes } from 'node:crypto';
import type { DeclarationsKept } from '../../cluster/declarations.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import { MemoryDirectory } from '../../cluster/memory/directory.ts';
import { createMemoryCluster } from '../../cluster/memory/open.ts';
import { type HostPort, isLoopback, ownHost, parseHostPort } from '../../config/host-port.ts';
import { parseRouteSettings } from '../../config/route-settings.ts';
import { Discovery } from '../../discovery/discovery.ts';
import { type DiscoverySettings, openSource } from '../../discovery/open.ts';
import type { Log } from '../../log.ts';
import { type BackendTls, nodeTls } from '../../node/lenders/link-server.ts';
import { EndedStarts, startCounts } from '../../scaling/ended-starts.ts';
import { LocalScaler } from '../../scaling/local.ts';
import { LocalStarts } from '../../scaling/local-starts.ts';
import { restartWith } from '../scaler/restart-with.ts';
import type { Membership } from './membership.ts';
import type { NodeParts } from './node-admin.ts';

export interface Discovering extends Membership {
  /** Begins, when the node serves at `backend`. */
  begin(backend: string, tls: () => BackendTls | undefined): void;
  readonly secret: string;
  readonly admin: Pick<NodeParts, 'startupCommands' | 'starts'>;
}

export function discovering(settings: DiscoverySettings, version: string, log: Log, kept?: DeclarationsKept): Discovering {
  const directory = new MemoryDirectory();
  const source = openSource(settings);
  const secret = randomBytes(32).toString('base64url');
  const starts = new LocalStarts();
  let discovery: Discovery | null = null;
  const ended = new EndedStarts({ directory, cancel: null, log });
  const scaler = new LocalScaler({
    directory,
    log,
    starts: (route) => discovery?.has(route) ?? false,
    start: async ({ startId, route }) => {
      const running = discovery;
      if (running === null) throw new Error('nothing was discovered yet');
      ended.watch(route, await startTimeoutOf(directory, route));
      return starts.watch(route, startId, () => running.start(startId, route));
    },
  });
  return {
    secret,
    join: (self) => createMemoryCluster({ self, version, log, directory, kept }).cluster,
    startNeeded: (route, force) => scaler.request(route, force),
    instanceLeft: () => {},
    starts: true,
    restart: (route) => restartWith(directory, (one) => scaler.request(one), route),
    jobs: async (max) => starts.jobs(max),
    changeJob: async (id, change) => starts.change(id, change, (route) => scaler.request(route, 1)),
    begin(backend, tls) {
      const proxies = [dialled(backend)];
      const first = tls();
      // The certificate may be another one by the time of a later link.
      const toNode = first && (() => nodeTls(tls() ?? first));
      discovery = new Discovery({ source, directory, proxies, secret: () => secret, tls: toNode, log });
      ended.start();
      discovery.begin();
    },
    async close() {
      await scaler.close();
      ended.close();
      await discovery?.close();
    },
    admin: {
      startupCommands: () => discovery?.results ?? new Map(),
      starts: () => startCounts(ended.counts),
    },
  };
}

/** The backend port is for this process alone: nobody was given a secret, and so it is not open to others. */
export function isForItself(values: {
  readonly discover?: string | undefined;
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
  readonly insecure: boolean;
  readonly backend: HostPort;
}): boolean {
  const { discover, secret, secretFile, insecure, backend } = values;
  const isOpen = backend.host !== 'localhost' && !isLoopback(backend.host);
  return discover !== undefined && secret === undefined && secretFile === undefined && !insecure && isOpen;
}

/** Where this process reaches its own port. */
function dialled(bound: string): HostPort {
  const { host, port } = parseHostPort(bound) ?? { host: '127.0.0.1', port: 0 };
  return { host: ownHost(host), port };
}

async function startTimeoutOf(directory: Pick<StartDirectory, 'route'>, route: string): Promise<number> {
  return parseRouteSettings((await directory.route(route)) ?? {}).startTimeoutMs;
}
