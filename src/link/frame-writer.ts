import type { Duplex } from 'node:stream';
import { guard, internalError } from '../boundary.ts';
import { type Arena, newArena, returnArena, takeArena } from '../memory/arenas.ts';
import { FRAME_HEAD_BYTES, Frame } from './frames.ts';

/** Memory of each link: thousands of links that all write at once cost no more. */
const OWN_ARENA_BYTES = 1_024;
/** How long a frame without urgency may wait for another frame. */
const LAZY_MS = 2;
/** Pieces of one stream that follow each other make one frame up to this size: the peer passes on each frame in a write of its own. */
const JOINED_BYTES_MAX = 4_096;

const NOBODY = { breakOff: (): void => {} };

/**
 * Collects the frames of one event-loop turn and sends them in one write: this batching is why one link per (linker, node)
 * beats a socket per slot. The flush runs in the check phase, right after the turn's input was read, so an idle link adds no delay.
 * Payloads are copied, so the caller may use their memory again at once; the memory here is used again, too.
 */
export class FrameWriter {
  readonly #socket: Duplex;
  readonly #own = newArena(OWN_ARENA_BYTES);
  #arena = this.#own;
  /** Full blocks, with what is to be written of them. */
  #full: Arena[] = [];
  /** The memory of writes under way, in their order. */
  readonly #written: Arena[] = [];
  #scheduled = false;
  #closed = false;
  readonly #owner: { breakOff(): void };
  #lazyTimer: NodeJS.Timeout | null = null;
  /** Where the DATA frame begins that was queued last, while it can be made longer; -1: there is none. */
  #dataAt = -1;
  #dataStream = 0;

  readonly #flushNow = (): void => this.flush();
  readonly #flushLate = (): void => {
    this.#lazyTimer = null;
    this.flush();
  };
  readonly #wroteOne = guard('link', () => {
    const arena = this.#written.shift();
    if (arena !== undefined) this.#wrote(arena);
  });

  /** `owner` is broken off when a frame could not be put together: the peer's count of slots may be wrong then. */
  constructor(socket: Duplex, owner: { breakOff(): void } = NOBODY) {
    this.#socket = socket;
    this.#owner = owner;
  }

  /** Bytes that the socket has not passed to the kernel yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer | null): void {
    try {
      const length = payload === null ? 0 : payload.length;
      if (type === Frame.DATA && payload !== null && this.#joins(streamId, payload)) return;
      if (this.#arena === this.#own) this.#reserve(FRAME_HEAD_BYTES + length);
      this.#head(type, flags, streamId, length);
      if (payload !== null && length > 0) this.#append(payload, length);
      this.#schedule();
    } catch (error) {
      this.#fail(error);
    }
  }

  number(type: number, flags: number, streamId: number, value: number): void {
    try {
      this.#putNumber(type, flags, streamId, value);
      this.#schedule();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A number that the peer does not wait for: it leaves with the next frame, in the order in which they were queued. */
  lazily(type: number, flags: number, streamId: number, value: number): void {
    try {
      this.#putNumber(type, flags, streamId, value);
      if (this.#scheduled || this.#lazyTimer !== null) return;
      this.#lazyTimer = setTimeout(this.#flushLate, LAZY_MS);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends what is queued now; what is queued later is dropped. */
  close(): void {
    this.flush();
    this.#closed = true;
  }

  flush(): void {
    this.#scheduled = false;
    this.#dataAt = -1;
    try {
      const full = this.#full;
      if (full.length === 0) {
        this.#write(this.#arena);
        return;
      }
      this.#full = [];
      this.#socket.cork();
      for (const arena of full) this.#write(arena);
      this.#write(this.#arena);
      this.#socket.uncork();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The frames that are queued are not to be sent: one of them may be incomplete. */
  #fail(error: unknown): void {
    internalError('link', error);
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.breakOff();
  }

  #write(arena: Arena): void {
    const { bytes, start, end } = arena;
    if (start === end) return;
    arena.start = end;
    arena.writes++;
    if (this.#closed || !this.#socket.writable) {
      this.#wrote(arena);
      return;
    }
    this.#written.push(arena);
    this.#socket.write(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.#wroteOne);
  }

  #wrote(arena: Arena): void {
    arena.writes--;
    if (arena.writes > 0 || arena.start < arena.end) return;
    arena.start = arena.end = 0;
    if (arena === this.#own) return;
    if (arena === this.#arena) this.#arena = this.#own;
    returnArena(arena);
  }

  #putNumber(type: number, flags: number, streamId: number, value: number): void {
    this.#reserve(FRAME_HEAD_BYTES + 4);
    this.#head(type, flags, streamId, 4);
    this.#arena.bytes.writeUInt32BE(value, this.#arena.end);
    this.#arena.end += 4;
  }

  #head(type: number, flags: number, streamId: number, length: number): void {
    this.#reserve(FRAME_HEAD_BYTES);
    const { bytes, end } = this.#arena;
    bytes.writeUInt32BE(((type << 27) | (flags << 24) | length) >>> 0, end);
    bytes.writeUInt32BE(streamId, end + 4);
    this.#arena.end = end + FRAME_HEAD_BYTES;
    this.#dataAt = type === Frame.DATA ? end : -1;
    this.#dataStream = streamId;
  }

  /** Makes the frame that was queued last longer. False: it is none of this stream's DATA, or long enough. */
  #joins(streamId: number, payload: Buffer): boolean {
    const { bytes, end } = this.#arena;
    const at = this.#dataAt;
    if (at === -1 || streamId !== this.#dataStream) return false;
    const length = end + payload.length - at - FRAME_HEAD_BYTES;
    if (length > JOINED_BYTES_MAX || end + payload.length > bytes.length) return false;
    bytes.writeUInt32BE(((Frame.DATA << 27) | length) >>> 0, at);
    payload.copy(bytes, end);
    this.#arena.end = end + payload.length;
    return true;
  }

  #append(payload: Buffer, length: number): void {
    let copied = 0;
    while (copied < length) {
      const arena = this.#arena;
      const bytes = payload.copy(arena.bytes, arena.end, copied, length);
      arena.end += bytes;
      copied += bytes;
      if (copied < length) this.#nextArena();
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushNow);
  }

  /** So many bytes follow in one piece. */
  #reserve(bytes: number): void {
    if (this.#arena.end + bytes > this.#arena.bytes.length) this.#nextArena();
  }

  #nextArena(): void {
    const full = this.#arena;
    this.#dataAt = -1;
    if (full.start < full.end) this.#full.push(full);
    this.#arena = takeArena();
  }
}
