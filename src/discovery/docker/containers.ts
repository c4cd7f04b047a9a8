/** Containers as Docker's API shows them: each value is checked before it is used. */
import { isIP } from 'node:net';
import type { HostPort } from '../../config/host-port.ts';
import type { AppExit } from '../../linker/app-process.ts';
import { type Fields, fieldsOf } from '../fields.ts';
import type { InstanceSettings } from '../labels.ts';

/** A container in the list of all. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly isRunning: boolean;
  /** ms since the epoch. */
  readonly createdAt: number;
  readonly labels: Readonly<Record<string, unknown>>;
}

/** What is known of a container by itself. */
export interface Inspected {
  readonly isRunning: boolean;
  /** Another one after each start. */
  readonly startedAt: string;
  readonly exit: AppExit;
  readonly networkMode: string;
  /** Network → the container's addresses there. */
  readonly networks: ReadonlyMap<string, readonly string[]>;
  /** TCP ports that its image exposes. */
  readonly exposed: readonly number[];
  /** TCP port → the port of Docker's machine that leads there. */
  readonly published: ReadonlyMap<number, number>;
}

/** How pullproxy reaches containers. `networks`: those of its own container. `published`: by the published ports of this host. `direct`: by any address. */
export type Reach =
  | { readonly by: 'direct' }
  | { readonly by: 'networks'; readonly names: ReadonlySet<string> }
  | { readonly by: 'published'; readonly host: string };

const ID = /^[0-9a-f]{12,64}$/;
const NAME = /^\/?([A-Za-z0-9][\w.-]{0,254})$/;
const PORTS_MAX = 256;
const NETWORKS_MAX = 64;

/** Null: it is none. */
export function readListed(value: unknown): Listed | null {
  const fields = fieldsOf(value);
  if (typeof fields.Id !== 'string' || !ID.test(fields.Id)) return null;
  const names = Array.isArray(fields.Names) ? fields.Names : [];
  return {
    id: fields.Id,
    name: NAME.exec(String(names[0] ?? ''))?.[1] ?? fields.Id.slice(0, 12),
    isRunning: fields.State === 'running' || fields.State === 'paused',
    createdAt: typeof fields.Created === 'number' ? fields.Created * 1_000 : 0,
    labels: fieldsOf(fields.Labels),
  };
}

export function readInspected(value: unknown): Inspected {
  const fields = fieldsOf(value);
  const state = fieldsOf(fields.State);
  const settings = fieldsOf(fields.NetworkSettings);
  const networks = Object.entries(fieldsOf(settings.Networks)).slice(0, NETWORKS_MAX);
  const ports = Object.entries(fieldsOf(settings.Ports)).slice(0, PORTS_MAX);
  return {
    isRunning: state.Running === true,
    startedAt: String(state.StartedAt ?? ''),
    exit: exitOf(state.ExitCode, state.OOMKilled === true, state.Error),
    networkMode: String(fieldsOf(fields.HostConfig).NetworkMode ?? ''),
    networks: new Map(networks.map(([name, one]) => [name, addressesOf(fieldsOf(one))])),
    exposed: tcpPorts(Object.keys(fieldsOf(fieldsOf(fields.Config).ExposedPorts)).slice(0, PORTS_MAX)),
    published: new Map(ports.flatMap(([port, bound]) => publishedOf(port, bound))),
  };
}

/** What an event of Docker says: which container, what, and with what exit code. Null: nothing about a container. */
export function readEvent(line: string): { readonly id: string; readonly action: string; readonly exit: AppExit } | null {
  let fields: Fields;
  try {
    fields = fieldsOf(JSON.parse(line));
  } catch {
    return null;
  }
  const actor = fieldsOf(fields.Actor);
  if (typeof actor.ID !== 'string' || !ID.test(actor.ID) || typeof fields.Action !== 'string') return null;
  return { id: actor.ID, action: fields.Action, exit: exitOf(Number(fieldsOf(actor.Attributes).exitCode), false, '') };
}

export function exitOf(code: unknown, isOutOfMemory = false, error: unknown = ''): AppExit {
  const known = typeof code === 'number' && Number.isInteger(code) && code >= 0 && code <= 255 ? code : 1;
  const why = isOutOfMemory ? ': it was out of memory' : typeof error === 'string' && error !== '' ? `: ${error.slice(0, 200)}` : '';
  return { code: known, words: `has ended with exit code ${known}${why}` };
}

/** Where the container may accept. @throws Error in words for people where nothing reaches it */
export function addressesTo(said: string, container: Inspected, { port: named, network }: InstanceSettings, reach: Reach): HostPort[] {
  const port = named ?? onlyPort(said, container.exposed);
  // It has the network of Docker's machine.
  if (container.networkMode === 'host') return [{ host: reach.by === 'published' ? reach.host : '127.0.0.1', port }];
  if (reach.by === 'published') {
    const outer = container.published.get(port);
    if (outer === undefined) throw new Error(`${said} has no published port for ${port}/tcp, and from here it is reached by no other`);
    return [{ host: reach.host, port: outer }];
  }
  const all = [...container.networks];
  const wanted = network === undefined ? all : all.filter(([name]) => name === network || name.endsWith(`_${network}`));
  if (wanted.length === 0) {
    const has = all.map(([name]) => name).join(', ') || 'none';
    throw new Error(network === undefined ? `${said} has no network` : `${said} is not in the network ${network}: its networks are ${has}`);
  }
  const common = reach.by === 'direct' ? wanted : wanted.filter(([name]) => reach.names.has(name));
  if (common.length === 0 && reach.by === 'networks') {
    const own = [...reach.names].join(', ') || 'none';
    throw new Error(
      `${said} has no network in common with pullproxy: it is in ${wanted.map(([name]) => name).join(', ')}, pullproxy in ${own}`,
    );
  }
  return common.flatMap(([, addresses]) => addresses.map((host) => ({ host, port })));
}

function onlyPort(said: string, exposed: readonly number[]): number {
  const [only, ...others] = exposed;
  if (only !== undefined && others.length === 0) return only;
  const what = only === undefined ? 'no port' : `the ports ${exposed.join(', ')}`;
  throw new Error(`the label pullproxy.port is missing: the image of ${said} exposes ${what}`);
}

function addressesOf({ IPAddress, GlobalIPv6Address }: Fields): string[] {
  return [IPAddress, GlobalIPv6Address].filter((one): one is string => typeof one === 'string' && isIP(one) !== 0);
}

function tcpPorts(texts: readonly string[]): number[] {
  return texts.flatMap((text) => portOf(text) ?? []).sort((a, b) => a - b);
}

function portOf(text: string): number | null {
  const port = Number(/^(\d{1,5})\/tcp$/.exec(text)?.[1] ?? 0);
  return port >= 1 && port <= 65_535 ? port : null;
}

function publishedOf(text: string, bound: unknown): [number, number][] {
  const inner = portOf(text);
  const outer = portOf(`${fieldsOf(Array.isArray(bound) ? bound[0] : null).HostPort}/tcp`);
  return inner === null || outer === null ? [] : [[inner, outer]];
}
