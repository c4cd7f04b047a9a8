/** From an address to a link that is up. */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type FailureDomain, guard } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { TLS_OPTIONS } from '../config/tls-options.ts';
import { dialLink, type Hello } from '../link/handshake.ts';
import type { Link, LinkTiming } from '../link/link.ts';
import { ReadMemory } from '../reused-reads.ts';

/** Contents, not paths. */
export interface LinkTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** A function is asked at each dial: files are replaced while an instance runs. */
export type Changing<T> = T | (() => T);

export interface DialSettings {
  readonly hello: Hello;
  readonly secret: Changing<string>;
  readonly tls?: Changing<LinkTls>;
  readonly timing?: LinkTiming;
}

/** One address of a node. */
export interface Target {
  /** HOST:PORT as the user or a node gave it. */
  readonly said: string;
  readonly name: string;
  /** What the name resolved to. */
  readonly ip: string;
  readonly port: number;
}

/** All addresses of a name. */
export type Lookup = (name: string) => Promise<readonly { readonly address: string }[]>;

const systemLookup: Lookup = (name) => lookup(name, { all: true });

/** All addresses of a node's name. @throws when it does not resolve, or `signal` aborts before. */
export async function resolveTargets(address: HostPort, signal: AbortSignal, resolve: Lookup = systemLookup): Promise<Target[]> {
  const { host: name, port } = address;
  const said = formatHostPort(address);
  if (isIP(name) !== 0) return [{ said, name, ip: name, port }];
  const found = await unlessAborted(resolve(name), signal);
  return found.map(({ address: ip }) => ({ said, name, ip, port }));
}

/** Where the connection goes, in one spelling for every name of it. */
export function endpointOf({ ip, port }: Target): string {
  return formatHostPort({ host: ip, port });
}

/** For the log: what was said, and the address behind a name. */
export function describeTarget(target: Target): string {
  const { said, name, ip } = target;
  return name === ip ? said : `${said} (${endpointOf(target)})`;
}

/**
 * Connects, proves the secret and resolves with what `ready` made of the link; `ready` gives the link its role before it returns.
 * @throws Error that says why there is no link; also when `signal` aborts before there is one.
 */
export function dial<T>(target: Target, settings: DialSettings, signal: AbortSignal, ready: (link: Link, node: string) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const { hello, timing } = settings;
    const secret = typeof settings.secret === 'function' ? settings.secret() : settings.secret;
    const tls = typeof settings.tls === 'function' ? settings.tls() : settings.tls;
    const memory = new ReadMemory();
    const socket: Socket =
      tls === undefined
        ? connect({ port: target.port, host: target.ip, onread: memory.options(() => socket) })
        : connectWithTls(target, tls);
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
        hello,
        secret,
        timing,
        memory,
        ready: (link, node) => {
          settle();
          resolve(ready(link, node));
        },
        failed,
      });
    });
    socket.once(tls === undefined ? 'connect' : 'secureConnect', connected);
  });
}

/**
 * A node that is dialled by a name must have a certificate for it. One that is dialled by an IP address, as nodes
 * advertise themselves, must have one from the given authority; which node it is, the handshake proves.
 */
function connectWithTls({ name, ip, port }: Target, tls: LinkTls): Socket {
  const byAddress = isIP(name) !== 0;
  return connectTls({
    ...TLS_OPTIONS,
    ...tls,
    host: ip,
    port,
    ...(byAddress ? {} : { servername: name }),
    ...(byAddress && tls.ca !== undefined ? { checkServerIdentity: () => undefined } : {}),
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
