/**
 * Reading from sockets into memory that is used again. By itself Node makes a buffer of 64 KB for each read; where bodies pass, V8
 * collects its whole heap for every few dozen of megabytes that went through (measured: two thirds of a node's time).
 */
import type { OnReadOpts, Socket } from 'node:net';

/** At most so much is read at a time. */
export const READ_BYTES_MAX = 65_536;
/** A client reads no more at a time as long as nobody is there to take its body. */
export const PART_READ_BYTES = 16_384;
/** A peer that has not proved anything costs no more. */
const FIRST_BYTES = 4_096;
const POISON = 0xdb;

let poisons = false;

/** For tests: bytes that were read and that nobody has kept are overwritten at once, not only by the next read. */
export function poisonReads(): void {
  poisons = true;
}

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
        if (poisons && !this.#kept) this.#bytes.fill(POISON, 0, bytesRead);
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
      if (poisons) shared.fill(POISON, 0, bytesRead);
      return true;
    },
  };
}

/** The bytes themselves, or a copy if they lie in memory that all share. */
export function ownBytes(bytes: Buffer): Buffer {
  return bytes.buffer === shared.buffer ? Buffer.from(bytes) : bytes;
}
