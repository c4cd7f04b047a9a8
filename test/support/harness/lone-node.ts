/** A node by itself, with small limits and ports of its own, for tests of the data plane. */
import { createMemoryCluster } from '../../../src/cluster/memory/open.ts';
import type { ListenUrl } from '../../../src/config/listen-url.ts';
import { CLIENT_LIMITS, type ClientLimits } from '../../../src/config/listener-settings.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';
import { createLog } from '../../../src/log.ts';
import { ProxyNode } from '../../../src/node/node.ts';
import type { NodeOptions } from '../../../src/node/node-options.ts';
import { eventually } from '../eventually.ts';
import { closeClients } from '../raw-client.ts';
import { closeLinkers, FakeLinker, type FakeLinkerOptions } from './fake-linker.ts';
import { closeApps } from './scripted-app.ts';

export interface LoneNode {
  readonly node: ProxyNode;
  readonly port: number;
  readonly backendPort: number;
}

export interface LoneNodeOptions extends Partial<Omit<NodeOptions, 'listen' | 'backend'>> {
  /** The differences from HTTP at 127.0.0.1. */
  readonly listen?: Partial<ListenUrl>;
  /** Configured routes, as users write them. */
  readonly routes?: Readonly<Record<string, RouteRecord>>;
}

/** As users have it. */
export const HTTP2 = {
  http2StreamsMax: 100,
  http2ResetsMax: 1_000,
  http2ControlFramesMax: 200,
  http2WindowBytesMax: 256 * 1_048_576,
} as const;

/** Defaults, and memory that does not depend on the machine. */
export const LIMITS: ClientLimits = {
  ...(Object.fromEntries(Object.entries(CLIENT_LIMITS).map(([key, { defaultValue }]) => [key, defaultValue])) as unknown as ClientLimits),
  ...HTTP2,
  heldBytesMax: 64 * 1_048_576,
};

const nodes = new Set<ProxyNode>();

/** The settings of every node of a test: ports of its own at 127.0.0.1, the limits above, and a cluster in memory. */
export function nodeOptions(over: Partial<NodeOptions>): NodeOptions {
  const log = over.log ?? createLog('test', 'silent');
  const id = over.id ?? 'n1';
  return {
    id,
    listen: [{ protocol: 'http', host: '127.0.0.1', port: 0, route: null, proxyProtocol: null }],
    backend: { host: '127.0.0.1', port: 0 },
    cluster: (bound) => createMemoryCluster({ self: { id, address: bound }, version: 'test', log }).cluster,
    startNeeded: () => {},
    secrets: () => ['s'],
    ...LIMITS,
    connectionsMax: 10_000,
    heldMax: 10_000,
    log,
    ...over,
  };
}

export async function startLoneNode({ listen = {}, routes = {}, ...over }: LoneNodeOptions = {}): Promise<LoneNode> {
  const at = { protocol: 'http', host: '127.0.0.1', port: 0, route: null, proxyProtocol: null, ...listen } as const;
  const node = await ProxyNode.start(nodeOptions({ ...over, listen: [at] }));
  nodes.add(node);
  for (const [name, record] of Object.entries(routes)) {
    await node.cluster.setRoute(name, record);
    await eventually(`the node knows ${name}`, () => node.routes.get(name)?.standing.configured === true);
  }
  return { node, port: portOf(node.bound.listen[0]), backendPort: portOf(`tcp://${node.bound.backend}`) };
}

/** A node and a linker that serves every host from the application at `appPort`. */
export async function startServedNode(
  appPort: number,
  options: LoneNodeOptions & Pick<FakeLinkerOptions, 'concurrency'> = {},
): Promise<LoneNode & { readonly linker: FakeLinker }> {
  const { concurrency, ...rest } = options;
  const lone = await startLoneNode(rest);
  return { ...lone, linker: await FakeLinker.dial({ backendPort: lone.backendPort, appPort, concurrency }) };
}

/** For `afterEach`: everything that the tests of the data plane have opened. */
export async function closeEverything(): Promise<void> {
  closeClients();
  closeLinkers();
  closeApps();
  for (const node of nodes) await node.stop();
  nodes.clear();
}

function portOf(url: string | undefined): number {
  return Number(new URL(url ?? '').port);
}
