/**
 * How Node's sockets are made and read, where Node has no option for what is needed here. Read from lib/net.js (`onconnection`,
 * `initSocketHandle`) and lib/internal/stream_base_commons.js of Node 24. Another Node is refused: there these files must be read again.
 */
import { type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { ClientReads, ReadMemory } from './reused-reads.ts';

const NODE_MAJOR = '24';

if (process.versions.node.split('.')[0] !== NODE_MAJOR)
  throw new Error(
    `pullproxy needs Node ${NODE_MAJOR}: it reuses the memory of sockets as that one does, and this is Node ${process.versions.node}`,
  );

/** Properties of servers and sockets that Node does not document. */
interface Handled {
  _handle: { reading?: boolean } | null;
  _server: Server | null;
  _connections: number;
}

type OnConnection = (this: object, error: number | undefined, handle: object | undefined) => void;

const memories = new WeakMap<Socket, ReadMemory>();
const clientReads = new WeakMap<Socket, ClientReads>();

/** The memory of an accepted socket, if it has its own. */
export function memoryOf(socket: Socket): ReadMemory | undefined {
  return memories.get(socket);
}

/** A paused TLS socket reads on until its own buffer is full, and these bytes are counted nowhere. This stops it at once. */
export function stopReading(socket: Socket): void {
  const { _handle: handle } = socket as unknown as Handled;
  if (handle === null || !('readStop' in handle) || typeof handle.readStop !== 'function') return;
  handle.reading = false;
  handle.readStop();
}

/** After `stopReading`, before the socket is resumed. */
export function startReading(socket: Socket): void {
  const { _handle: handle } = socket as unknown as Handled;
  if (handle === null || handle.reading !== false || !('readStart' in handle) || typeof handle.readStart !== 'function') return;
  handle.reading = true;
  handle.readStart();
}

/** How much an accepted socket reads at a time, if that can be set. */
export function readsOf(socket: Socket): ClientReads | undefined {
  return clientReads.get(socket);
}

/**
 * Sockets that a server accepts from now on read into memory of their `own`, or into the one that is shared. To be called as soon as it
 * listens. Where a listener has no such handle its sockets read as others do, and a test fails.
 */
export function reuseReads(server: Server, memory: 'own' | 'shared', allowHalfOpen = false): void {
  const { _handle: listening } = server as unknown as Handled;
  if (listening === null || !('onconnection' in listening) || typeof listening.onconnection !== 'function') return;
  const usual = listening.onconnection as OnConnection;
  const accept: OnConnection = function (error, handle) {
    if (handle === undefined || !('useUserBuffer' in handle)) {
      usual.call(this, error, handle);
      return;
    }
    const own = memory === 'own' ? new ReadMemory() : new ClientReads();
    const onread = own.options(() => socket);
    const socket: Socket = new Socket({ handle, allowHalfOpen, onread } as unknown as SocketConstructorOpts);
    if (own instanceof ReadMemory) memories.set(socket, own);
    else clientReads.set(socket, own);
    socket.setNoDelay(true);
    // It is counted there until it is closed.
    (server as unknown as Handled)._connections++;
    (socket as unknown as Handled)._server = server;
    server.emit('connection', socket);
  };
  listening.onconnection = accept;
}
