/** A client that speaks in bytes. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { RawSocket } from './raw-socket.ts';

const clients = new Set<RawSocket>();

/** `localAddress`: which of this machine's own it comes from. */
export async function connectClient(port: number, host = '127.0.0.1', localAddress?: string): Promise<RawSocket> {
  const socket = connect({ port, host, localAddress, noDelay: true, allowHalfOpen: true });
  const client = new RawSocket(socket);
  clients.add(client);
  await once(socket, 'connect');
  return client;
}

/** For `afterEach`. */
export function closeClients(): void {
  for (const { socket } of clients) socket.destroy();
  clients.clear();
}
