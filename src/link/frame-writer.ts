import type { Duplex } from 'node:stream';
import { FRAME_HEAD_BYTES } from './frames.ts';

const ARENA_BYTES = 65_536;
/** Enough for a handshake: a connection that never gets further costs no more. */
const FIRST_ARENA_BYTES = 1_024;
/** How long a frame that nobody waits for may wait for one that has to go. */
const LAZY_MS = 2;
/** Payloads up to this are copied beside their head, larger ones are passed by reference. */
const COPY_BYTES_MAX = 4_096;

/**
 * Collects the frames of one event-loop turn and sends them in one write: this batching is why one link per (linker, node)
 * beats a socket per slot. The flush runs in the check phase, right after the turn's input was read, so an idle link adds no delay.
 */
export class FrameWriter {
  readonly #socket: Duplex;
  #arena = Buffer.allocUnsafeSlow(FIRST_ARENA_BYTES);
  #start = 0;
  #end = 0;
  #parts: Buffer[] = [];
  #scheduled = false;
  #closed = false;
  #lazyTimer: NodeJS.Timeout | null = null;

  readonly #flushNow = (): void => this.flush();

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Bytes that the socket has not passed to the kernel yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer | null): void {
    const length = payload === null ? 0 : payload.length;
    const copied = length <= COPY_BYTES_MAX ? length : 0;
    this.#reserve(FRAME_HEAD_BYTES + copied);
    this.#head(type, flags, streamId, length);
    this.#schedule();
    if (payload === null || length === 0) return;
    if (copied > 0) {
      payload.copy(this.#arena, this.#end);
      this.#end += copied;
    } else {
      this.#cut();
      this.#parts.push(payload);
    }
  }

  number(type: number, flags: number, streamId: number, value: number): void {
    this.#reserve(FRAME_HEAD_BYTES + 4);
    this.#head(type, flags, streamId, 4);
    this.#schedule();
    this.#arena.writeUInt32BE(value, this.#end);
    this.#end += 4;
  }

  /** A frame without payload that the peer does not wait for: it leaves with the next one, in the order in which they were queued. */
  lazily(type: number, flags: number, streamId: number): void {
    this.#reserve(FRAME_HEAD_BYTES);
    this.#head(type, flags, streamId, 0);
    if (this.#scheduled || this.#lazyTimer !== null) return;
    this.#lazyTimer = setTimeout(() => {
      this.#lazyTimer = null;
      this.flush();
    }, LAZY_MS);
  }

  /** Sends what is queued now; what is queued later is dropped. */
  close(): void {
    this.flush();
    this.#closed = true;
  }

  flush(): void {
    this.#scheduled = false;
    this.#cut();
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.#parts = [];
    if (this.#closed || !this.#socket.writable) return;
    if (parts.length === 1) {
      this.#socket.write(parts[0]);
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }

  #head(type: number, flags: number, streamId: number, length: number): void {
    this.#arena.writeUInt32BE(((type << 27) | (flags << 24) | length) >>> 0, this.#end);
    this.#arena.writeUInt32BE(streamId, this.#end + 4);
    this.#end += FRAME_HEAD_BYTES;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushNow);
  }

  #cut(): void {
    if (this.#end > this.#start) this.#parts.push(this.#arena.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#arena.length) return;
    this.#cut();
    // The old arena may still be on its way through the kernel: it is left to the garbage collector, never reused.
    this.#arena = Buffer.allocUnsafeSlow(ARENA_BYTES);
    this.#start = 0;
    this.#end = 0;
  }
}
