/**
 * Reading from sockets into memory that is used again. By itself Node makes a buffer of 64 KB for each read; where bodies pass, V8
 * collects its whole heap for every few dozen of megabytes that went through (measured: two thirds of a node's time).
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';

const BUFFER_BYTES = 65_536;

/** Memory of one socket's own. What a 'data' event brings is overwritten by the next read, unless `keep` was called meanwhile. */
export class ReadMemory {
  #bytes = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #kept = false;

  /** A part of what was read last is used beyond its event: it is left alone, the next read goes elsewhere. */
  keep(): void {
    this.#kept = true;
  }

  /** Options for net.connect. `socket`: the one that they make. */
  options(socket: () => Socket): OnReadOpts {
    return {
      buffer: () => {
        if (this.#kept) this.#bytes = Buffer.allocUnsafeSlow(BUFFER_BYTES);
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

const shared = Buffer.allocUnsafeSlow(BUFFER_BYTES);

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

/** What a socket has that Node does not document, but makes each accepted one of. */
interface Handled {
  _handle: object | null;
  _server: object | null;
}

/**
 * A socket that was just accepted, by a server with `pauseOnConnect`, as one that reads so; the first must not be used any more. Node has
 * no option for it. Where it keeps its handle elsewhere the socket stays as it is, and reads as others do: a test fails then.
 */
export function withReads(accepted: Socket, options: (socket: () => Socket) => OnReadOpts): Socket {
  const before = accepted as unknown as Handled;
  const handle = before._handle;
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) {
    accepted.resume();
    return accepted;
  }
  before._handle = null;
  const made = { handle, allowHalfOpen: accepted.allowHalfOpen, onread: options(() => socket) };
  const socket: Socket = new Socket(made as unknown as SocketConstructorOpts);
  // It is counted there until it is closed.
  (socket as unknown as Handled)._server = before._server;
  before._server = null;
  return socket;
}
