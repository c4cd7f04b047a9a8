/** Builds the parts of one node: the same for a single node and for each worker. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { AdminSource } from '../../admin/admin-source.ts';
import { unawaited } from '../../boundary.ts';
import type { DeclarationsKept } from '../../cluster/declarations.ts';
import { routeDefaultsOf } from '../../config/commands/common-settings.ts';
import { NODE } from '../../config/commands/node.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../../config/host-port.ts';
import type { ListenUrl } from '../../config/listen-url.ts';
import { LISTENER_SETTINGS, MEMORY_SHARES } from '../../config/listener-settings.ts';
import type { Loaded } from '../../config/load.ts';
import { ofEachWorker } from '../../config/memory-limit.ts';
import { DEFAULT_ROUTE_SETTINGS } from '../../config/route-settings.ts';
import { readVersion } from '../../config/version.ts';
import { EventRecorder } from '../../events/recorder.ts';
import { changeLogLevel, type Log } from '../../log.ts';
import { ProxyNode } from '../../node/node.ts';
import type { NodeAddresses } from '../../node/node-options.ts';
import { backendTls, followBackendTls } from '../files/backend-certificates.ts';
import { watchCertificates } from '../files/certificate-watch.ts';
import { openDeclarationsFile } from '../files/declarations-file.ts';
import { FileRoutes, followRouteFiles } from '../files/file-routes.ts';
import { followHttpsFiles, readHttpsFiles } from '../files/https-files.ts';
import { PageFiles } from '../files/page-files.ts';
import type { Reloadable } from '../files/reloadable.ts';
import { Secrets } from '../files/secrets.ts';
import { type TicketKeySource, ticketKeys } from '../files/ticket-keys.ts';
import { advertisedHost } from './advertised-address.ts';
import { alone, throughRedis } from './membership.ts';
import { nodeAdminSource } from './node-admin.ts';
import { type FileSettings, Reloading } from './reloading.ts';
import { openTelemetry } from './telemetry.ts';

export type NodeLoaded = Loaded<(typeof NODE)['settings']>;

/** The place of the node on this machine. */
export interface NodePlace {
  readonly id: string;
  readonly listen: readonly ListenUrl[];
  /** Its own backend port. */
  readonly backend: HostPort;
  /** The backend port that it shares with the other workers of this machine. */
  readonly sharedBackend?: HostPort;
  readonly advertise?: HostPort;
}

export interface OpenNode {
  readonly bound: NodeAddresses;
  readonly advertise: string;
  readonly source: AdminSource;
  readonly reloading: Reloading<(typeof NODE)['settings']>;
  /** Resolves when somebody asks it to leave, here or at another node; with for how long it is to serve on before, if that was said. */
  readonly leaveAsked: Promise<number | undefined>;
  /** Serves on for `delayMs` and leaves gracefully, within `drainMs`; resolves when all is over. */
  close(drainMs: number, delayMs: number): Promise<void>;
}

/** The things that a node gets from outside. */
export interface NodeAround {
  readonly log: Log;
  /** Reads the settings anew. */
  readonly load: () => Promise<NodeLoaded | null>;
  /** Somebody wants the configuration to be read anew; without it this process does so by itself. */
  readonly reloadAsked?: () => void;
  /** Keys of TLS session tickets, which the workers of one machine share. */
  readonly tickets?: TicketKeySource;
}

/** For a node that alone has the secret of its port. */
const OWN_BACKEND: HostPort = { host: '127.0.0.1', port: 0 };

/** Settings that are read when they are needed. */
export const LIVE = ['drainDelayMs', 'drainTimeoutMs', 'adminToken', 'adminMetricsOpen', 'logLevel'] as const;

/** Resolves when it serves. */
export async function openNode(loaded: NodeLoaded, place: NodePlace, { log, load, ...around }: NodeAround): Promise<OpenNode> {
  const { values: settings } = loaded;
  const tickets = around.tickets ?? ticketKeys(settings, log);
  const asked = Promise.withResolvers<number | undefined>();
  const version = readVersion();
  const { id } = place;
  const recorder = new EventRecorder(id);
  const certificates = readHttpsFiles(settings, tickets.keys);
  const secrets = new Secrets(settings);
  const pageFiles = new PageFiles(settings, log);
  const file = settings.stateDir === undefined ? undefined : openDeclarationsFile(settings.stateDir, log);
  const fileRoutes = new FileRoutes(loaded.routes, { once: settings.routesOnce }, log);
  const kept = { file, asserted: fileRoutes.asserted };
  const tls = backendTls(settings);
  const host = await advertisedHost(place.backend.host, settings.redis);
  const discovering = await openDiscovering(settings, version, log, kept);
  const membership =
    discovering ??
    (settings.redis === undefined
      ? alone(version, log, kept)
      : await throughRedis(settings.redis, version, log, routeDefaultsOf(settings), kept));
  const secretsOf = (route: string): readonly string[] => [
    ...(discovering?.isForItself === true ? [] : secrets.for(route)),
    ...(discovering === null ? [] : [discovering.secret]),
  ];

  const telemetry = await openTelemetry(settings, id, log);
  const node = await ProxyNode.start({
    ...settings,
    ...withinMemory(settings),
    ...place,
    ...(discovering?.isForItself === true ? { backend: OWN_BACKEND } : {}),
    certificates,
    pages: pageFiles.pages,
    backendTls: tls,
    log,
    cluster: (bound) => {
      const cluster = membership.join({ id, address: addressOf(place.advertise, host, bound) });
      recorder.sendTo(cluster);
      return cluster;
    },
    startNeeded: membership.startNeeded,
    instanceLeft: membership.instanceLeft,
    leaveAsked: asked.resolve,
    reloadAsked: () => (around.reloadAsked ?? reloadByItself)(),
    secrets: secretsOf,
    routeDefaults: routeDefaultsOf(settings),
    heldMax: withinMemory(settings).connectionsMax,
    watchers: telemetry.watchers,
  });
  const { bound } = node;
  let tlsNow = tls;
  discovering?.begin(bound.backend, () => tlsNow);
  secrets.follow(log, () => node.renewed());
  unawaited('directory', fileRoutes.setIn(node.cluster));
  const parts: Reloadable<FileSettings<(typeof NODE)['settings']>>[] = [
    ...(certificates === undefined ? [] : [followHttpsFiles(settings, certificates, log)]),
    followBackendTls(settings, tls, log, (renewed) => {
      tlsNow = renewed;
      node.renewed(renewed);
    }),
    ...(tickets.files === null ? [] : [tickets.files]),
    secrets,
    pageFiles,
    telemetry.accessLog,
    fileRoutes,
  ];
  const isLeaving = (): boolean => node.draining;
  const reloading = new Reloading({
    settings: NODE.settings,
    running: loaded,
    load,
    parts,
    live: LIVE,
    isLeaving,
    log,
  });
  // The cause of a failed reload is logged where it happens.
  const reloadByItself = (): void => void reloading.reload().catch(() => {});
  followRouteFiles(() => reloading.values.routesFrom, load, fileRoutes, log);
  const watch = watchCertificates(() => reloading.values, log);
  reloading.onApplied(({ logLevel }) => {
    changeLogLevel(log, logLevel);
    watch.look();
  });
  return {
    bound,
    advertise: node.cluster.self.address,
    leaveAsked: asked.promise,
    source: nodeAdminSource({
      node,
      version,
      redis: settings.redis !== undefined,
      startedBy: discovering !== null ? 'this process' : membership.starts ? 'scalers' : 'nobody',
      // The other default settings are for the scaler to decide.
      routeDefaults: { ...DEFAULT_ROUTE_SETTINGS, holdTimeoutMs: settings.holdTimeoutMs, maxHeld: settings.maxHeld },
      jobs: membership.jobs,
      changeJob: membership.changeJob,
      restart: membership.restart,
      startAnother: membership.starts ? (route) => membership.startNeeded(route, 1) : null,
      leave: asked.resolve,
      reload: reloading.reload,
      accessLogDropped: telemetry.dropped,
      recorder,
      certificates: watch,
      ...discovering?.admin,
    }),
    reloading,
    async close(drainMs, delayMs) {
      log.info({ delayMs }, 'node draining');
      await recorder.flush();
      await fileRoutes.stop();
      await node.drain(drainMs, delayMs);
      await membership.close();
      file?.flush();
      recorder.close();
      await telemetry.close();
    },
  };
}

/** Workers share the memory that a single node has. */
function withinMemory({ workers, ...given }: NodeLoaded['values']): Record<keyof typeof MEMORY_SHARES, number> {
  const each = (key: keyof typeof MEMORY_SHARES): number => ofEachWorker(LISTENER_SETTINGS[key], MEMORY_SHARES[key], given[key], workers);
  return {
    heldBytesMax: each('heldBytesMax'),
    http2WindowBytesMax: each('http2WindowBytesMax'),
    connectionsMax: each('connectionsMax'),
  };
}

/** Null: nothing is discovered. */
async function openDiscovering(settings: NodeLoaded['values'], version: string, log: Log, kept: DeclarationsKept) {
  const { discover, dockerHost, dockerLabel } = settings;
  // Anything else is refused.
  if (discover !== 'docker') return null;
  // Loaded only here: other nodes have no linker in them.
  const { discovering, isForItself } = await import('./discovering.ts');
  return { ...discovering({ discover, dockerHost, dockerLabel }, version, log, kept), isForItself: isForItself(settings) };
}

/** Names the machine, and is new after each start: entries of a former process in the directory do not belong to this one. */
export function newNodeId(): string {
  const machine = hostname()
    .replace(/[^\w.-]/g, '')
    .slice(0, 50);
  return `${machine}-${randomBytes(4).toString('hex')}`;
}

function addressOf(advertise: HostPort | undefined, host: string, bound: string): string {
  return formatHostPort(advertise ?? { host, port: parseHostPort(bound)?.port ?? 0 });
}
