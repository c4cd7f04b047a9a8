/**
 * Reads from sockets into memory that is used again. Node makes a buffer of 64 KB for each read. With bodies, V8 then
 * collects its whole heap for every few dozen megabytes (measured: two thirds of a node's time).
 */
import type { OnReadOpts, Socket } from 'node:net';

/** The most bytes of one read. */
export const READ_BYTES_MAX = 65_536;
/** The most bytes of one read while a client's body has no receiver. */
export const PART_READ_BYTES = 16_384;
/** The most bytes of one read from a peer that has not proved the secret. */
const FIRST_BYTES = 4_096;

/**
 * The fate of bytes that a function was given: `kept`, it uses their memory beyond the call, which is left alone from then on;
 * `borrowed`, the memory is used again at once.
 */
export type Ownership = 'borrowed' | 'kept';
const POISON = 0xdb;

let poisons = false;

/** For tests: bytes that were read and that nobody has kept are overwritten at once, not only by the next read. */
export function poisonReads(): void {
  poisons = true;
}

/** The memory of one socket. The bytes of a 'data' event are overwritten by the next read, unless `keep` was called. */
export class ReadMemory {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #wantedBytes = FIRST_BYTES;
  #kept = false;

  /** A part of the last read is used beyond its event: this memory is left alone, and the next read uses new memory. */
  keep(): void {
    this.#kept = true;
  }

  /** From the next read on it reads as much as there is. */
  grow(): void {
    this.#wantedBytes = READ_BYTES_MAX;
  }

  /** Options for net.connect. `socket`: the socket that they make. */
  options(socket: () => Socket): OnReadOpts {
    return {
      buffer: () => {
        if (this.#kept || this.#bytes.length < this.#wantedBytes) this.#bytes = Buffer.allocUnsafeSlow(this.#wantedBytes);
        this.#kept = false;
        return this.#bytes;
      },
      callback: (bytesRead) => {
        socket().emit('data', this.#bytes.subarray(0, bytesRead));
        if (poisons && !this.#kept) this.#bytes.fill(POISON, 0, bytesRead);
        return true;
      },
    };
  }
}

const shared = Buffer.allocUnsafeSlow(READ_BYTES_MAX);
const sharedPart = shared.subarray(0, PART_READ_BYTES);

/** How much the sockets of clients read at a time. All of them read into the same memory. */
export class ClientReads {
  /** True: as much as there is. False: no more than a waiting request may keep, because bytes that were read can't go back to the kernel. */
  isWide = false;

  options(socket: () => Socket): OnReadOpts {
    return { ...sharedReads(socket), buffer: () => (this.isWide ? shared : sharedPart) };
  }
}

/** Options for net.connect, for a socket whose 'data' is never used beyond its event: all such sockets read into the same memory. */
export function sharedReads(socket: () => Socket): OnReadOpts {
  return {
    buffer: shared,
    callback: (bytesRead) => {
      socket().emit('data', shared.subarray(0, bytesRead));
      if (poisons) shared.fill(POISON, 0, bytesRead);
      return true;
    },
  };
}

/** The bytes themselves, or a copy if they lie in shared memory. */
export function ownBytes(bytes: Buffer): Buffer {
  return bytes.buffer === shared.buffer ? Buffer.from(bytes) : bytes;
}
