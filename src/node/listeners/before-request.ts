/** The steps before a client's first own byte: a PROXY header, then a TLS handshake that ends here. */
import type { Socket } from 'node:net';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import { attempt, type FailureDomain, guard } from '../../boundary.ts';
import type { ProxyVersion } from '../../config/proxy-protocol.ts';
import { Origin } from '../clients/origin.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import { readProxyHeader } from './proxy-header.ts';

export type Next = (socket: Socket, origin: Origin) => void;

/** Passes a connection on when its step is done; or destroys it, and nothing is passed on. */
export type Step = (socket: Socket, origin: Origin, next: Next) => void;

/** Takes a PROXY header off the connection, if its sender may send one; `refused` is told why not. */
export function proxyHeaderStep(version: ProxyVersion, trusted: TrustedProxies, refused: (address: string, why: string) => void): Step {
  return (socket, origin, next) => {
    const refuse = (why: string): void => {
      refused(origin.address, why);
      socket.destroy();
    };
    if (!trusted.has(origin.address)) {
      refuse('its address is not among --trusted-proxies');
      return;
    }
    let came: Buffer = Buffer.alloc(0);
    const read = guard(beforeRequestOf(socket), () => {
      // Once per piece: 'readable' comes again for what follows.
      for (let piece: Buffer | null = socket.read(); piece !== null; piece = socket.read()) {
        came = came.length === 0 ? piece : Buffer.concat([came, piece]);
      }
      const header = readProxyHeader(version, came);
      if (header.kind === 'incomplete') return;
      stop();
      if (header.kind === 'malformed') {
        refuse(`it does not begin with a PROXY header of ${version}`);
        return;
      }
      if (came.length > header.bytes) socket.unshift(came.subarray(header.bytes));
      next(socket, header.client === null ? origin : new Origin(socket, header.client));
    });
    const ended = guard(beforeRequestOf(socket), () => void socket.destroy());
    const stop = (): void => {
      socket.off('readable', read);
      socket.off('end', ended);
    };
    socket.on('readable', read);
    socket.on('end', ended);
  };
}

/** The handshake of `server`, which listens nowhere itself. */
export function tlsStep(server: TlsServer): Step {
  /** Connections within their handshake, by both ends: the server does not say of which one a TLS socket was made. */
  const waiting = new Map<string, (socket: TLSSocket) => void>();
  const shaken = (socket: TLSSocket): void => {
    const pass = waiting.get(endsOf(socket));
    if (pass === undefined) socket.destroy();
    else pass(socket);
  };
  server.on('secureConnection', (socket) => attempt(beforeRequestOf(socket), () => shaken(socket)));
  // A client that breaks off its handshake affects no other client.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return (socket, origin, next) => {
    const key = endsOf(socket);
    const forget = guard('listener', () => void waiting.delete(key));
    waiting.set(key, (secure) => {
      socket.off('close', forget);
      forget();
      next(secure, origin);
    });
    socket.once('close', forget);
    server.emit('connection', socket);
  };
}

function beforeRequestOf(socket: Socket): FailureDomain {
  return { where: 'listener', fail: () => void socket.destroy() };
}

function endsOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}
