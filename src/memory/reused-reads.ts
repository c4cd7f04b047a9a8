/**
 * Reading from sockets into memory that is used again. By itself Node makes a buffer of 64 KB for each read; where bodies pass, V8
 * collects its whole heap for every few dozen of megabytes that went through (measured: two thirds of a node's time).
 */
import { type OnReadOpts, type Server, Socket, type SocketConstructorOpts } from 'node:net';

/** At most so much is read at a time. */
export const READ_BYTES_MAX = 65_536;
/** A client reads no more at a time as long as nobody is there to take its body. */
export const PART_READ_BYTES = 16_384;
/** A peer that has not proved anything costs no more. */
const FIRST_BYTES = 4_096;

/** Memory of one socket's own. What a 'data' event brings is overwritten by the next read, unless `keep` was called meanwhile. */
export class ReadMemory {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #wantedBytes = FIRST_BYTES;
  #kept = false;

  /** A part of what was read last is used beyond its event: it is left alone, the next read goes elsewhere. */
  keep(): void {
    this.#kept = true;
  }

  /** From the next read on it takes as much as there is. */
  grow(): void {
    this.#wantedBytes = READ_BYTES_MAX;
  }

  /** Options for net.connect. `socket`: the one that they make. */
  options(socket: () => Socket): OnReadOpts {
    return {
      buffer: () => {
        if (this.#kept || this.#bytes.length < this.#wantedBytes) this.#bytes = Buffer.allocUnsafeSlow(this.#wantedBytes);
        this.#kept = false;
        return this.#bytes;
      },
      callback: (bytesRead) => {
        socket().emit('data', this.#bytes.subarray(0, bytesRead));
        return true;
      },
    };
  }
}

const shared = Buffer.allocUnsafeSlow(READ_BYTES_MAX);
const sharedPart = shared.subarray(0, PART_READ_BYTES);

/** How much a client's socket reads at a time. All of them read into the same memory. */
export class ClientReads {
  /** As much as there is. Otherwise no more than a request that waits may keep: what was read can't be left in the kernel. */
  isWide = false;

  options(socket: () => Socket): OnReadOpts {
    return { ...sharedReads(socket), buffer: () => (this.isWide ? shared : sharedPart) };
  }
}

/** Options for net.connect, for a socket of whose 'data' nothing is ever used beyond its event: all such sockets read into the same memory. */
export function sharedReads(socket: () => Socket): OnReadOpts {
  return {
    buffer: shared,
    callback: (bytesRead) => {
      socket().emit('data', shared.subarray(0, bytesRead));
      return true;
    },
  };
}

/** The bytes themselves, or a copy if they lie in memory that all share. */
export function ownBytes(bytes: Buffer): Buffer {
  return bytes.buffer === shared.buffer ? Buffer.from(bytes) : bytes;
}

/** What a server and a socket have that Node does not document. */
interface Handled {
  _handle: { reading?: boolean } | null;
  _server: Server | null;
  _connections: number;
}

type OnConnection = (this: object, error: number | undefined, handle: object | undefined) => void;

const memories = new WeakMap<Socket, ReadMemory>();
const clientReads = new WeakMap<Socket, ClientReads>();

/** What an accepted socket reads into, if that is its own. */
export function memoryOf(socket: Socket): ReadMemory | undefined {
  return memories.get(socket);
}

/** A paused TLS socket goes on reading until its own buffer is full, and nobody counts what is in there. This stops it at once. */
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

/** How much an accepted socket reads at a time, if that can be told. */
export function readsOf(socket: Socket): ClientReads | undefined {
  return clientReads.get(socket);
}

/**
 * Sockets that a server accepts from now on read into memory of their `own`, or into the one that is shared. To be called as soon as it
 * listens. Node has no option for it: where it accepts in another way they read as others do, and a test fails.
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
