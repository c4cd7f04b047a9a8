/** From an address to a link that is up. */
import { isIP } from 'node:net';
import { type FailureDomain, guard } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { connectedEvent, connectToNode, type NodeTls } from '../link/connect.ts';
import { dialLink } from '../link/handshake.ts';
import { helloNow, type UnsaidHello } from '../link/hello.ts';
import type { Link, LinkTiming } from '../link/link.ts';
import { ReadMemory } from '../memory/reused-reads.ts';

/** A function is asked at each dial: files are replaced while an instance runs. */
export type Changing<T> = T | (() => T);

export interface DialSettings {
  readonly hello: UnsaidHello;
  readonly secret: Changing<string>;
  /** The oldest version of the link protocol that a node may speak; without it the newest. */
  readonly versionMin?: number;
  readonly tls?: Changing<NodeTls>;
  readonly timing?: LinkTiming;
}

/** One address of a node. */
export interface NodeAddress {
  /** HOST:PORT as the user or a node gave it. */
  readonly said: string;
  readonly name: string;
  /** The addresses of the name. */
  readonly ip: string;
  readonly port: number;
  /** `said` comes from another node, which has it from the directory: only the node that is known by it there may answer. */
  readonly learnt: boolean;
}

/** All addresses of a name. */
export type Lookup = (name: string) => Promise<readonly { readonly address: string }[]>;

/** Loaded for the first name: many linkers dial addresses. */
const systemLookup: Lookup = (name) => process.getBuiltinModule('node:dns/promises').lookup(name, { all: true });

/** All addresses of a node's name. @throws when it does not resolve, or `signal` aborts before. */
export async function resolveAddresses(
  address: HostPort,
  signal: AbortSignal,
  resolve: Lookup = systemLookup,
  learnt = false,
): Promise<NodeAddress[]> {
  const { host: name, port } = address;
  const said = formatHostPort(address);
  if (isIP(name) !== 0) return [{ said, name, ip: name, port, learnt }];
  const found = await unlessAborted(resolve(name), signal);
  return found.map(({ address: ip }) => ({ said, name, ip, port, learnt }));
}

/** Where the connection goes, in one spelling for every name of it. */
export function endpointOf({ ip, port }: NodeAddress): string {
  return formatHostPort({ host: ip, port });
}

/** For the log: what was said, and the address behind a name. */
export function describeAddress(target: NodeAddress): string {
  const { said, name, ip } = target;
  return name === ip ? said : `${said} (${endpointOf(target)})`;
}

/**
 * Connects, proves the secret and resolves with what `ready` made of the link; `ready` gives the link its role before it returns.
 * @throws Error that says why there is no link; also when `signal` aborts before there is one.
 */
export function dial<T>(
  target: NodeAddress,
  settings: DialSettings,
  signal: AbortSignal,
  ready: (link: Link, node: string) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const { hello, timing, versionMin } = settings;
    const secret = typeof settings.secret === 'function' ? settings.secret() : settings.secret;
    const tls = typeof settings.tls === 'function' ? settings.tls() : settings.tls;
    const memory = new ReadMemory();
    const socket = connectToNode(target, tls, memory);
    const abort = (): void => {
      reject(signal.reason);
      socket.destroy();
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', abort);
    const failed = (reason: string): void => {
      settle();
      reject(new Error(reason));
    };
    const onError = (error: Error): void => failed(error.message);
    socket.once('error', onError);
    const domain: FailureDomain = {
      where: 'link',
      fail() {
        socket.destroy();
        failed('an internal error');
      },
    };
    const connected = guard(domain, () => {
      socket.off('error', onError);
      dialLink(socket, {
        hello: helloNow(hello),
        ...(target.learnt ? { at: target.said } : {}),
        secret,
        versionMin,
        timing,
        memory,
        ready: (link, node) => {
          settle();
          resolve(ready(link, node));
        },
        failed,
      });
    });
    socket.once(connectedEvent(tls), connected);
  });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
