import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ClientConnection, type HttpService } from '../http1/connection.ts';
import { ClientPort, plainAddress } from './client-port.ts';

/** A port on which clients speak HTTP/1.1 in the clear. */
export function httpPort(service: HttpService, connectionsMax: number): ClientPort {
  // Half-open sockets: a tunnel passes half-closes on.
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  return new ClientPort('http', server, 'connection', connectionsMax, (socket, gone) => {
    return new ClientConnection(socket, { remoteAddress: plainAddress(socket.remoteAddress), proto: 'http' }, service, gone);
  });
}

export interface HttpsCertificate {
  /** PEM, with the chain. */
  readonly cert: Buffer;
  readonly key: Buffer;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The same behind TLS, which ends here. */
export function httpsPort(service: HttpService, connectionsMax: number, certificate: HttpsCertificate): ClientPort {
  const server = createTlsServer({
    ...certificate,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    allowHalfOpen: true,
    noDelay: true,
  });
  // A client that breaks off its handshake concerns nobody else.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return new ClientPort('https', server, 'secureConnection', connectionsMax, (socket, gone) => {
    return new ClientConnection(socket, { remoteAddress: plainAddress(socket.remoteAddress), proto: 'https' }, service, gone);
  });
}
