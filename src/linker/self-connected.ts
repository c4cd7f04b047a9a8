import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * TCP's simultaneous open (RFC 9293 section 3.5): a socket that dials a local port where nobody listens, and is given that very
 * port as its own, reaches itself. Dialling an absent application often enough finds it.
 */
export function isSelfConnected(socket: Duplex): boolean {
  return socket instanceof Socket && socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
}
