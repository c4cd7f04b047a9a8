import type { Socket } from 'node:net';
import { type FailureDomain, guard } from '../../boundary.ts';
import type { Fields } from './fields.ts';
import { FrameFlag, FrameType, frameHead, HEAD_BYTES } from './frames.ts';
import { headersFrame, PAYLOAD_BYTES_MAX } from './hpack-encoder.ts';

const NOTHING: Buffer = Buffer.alloc(0);
/** Small pieces are copied behind their frame's head. */
const JOINED_BYTES_MAX = 4_096;
/** What goes out in one piece of memory. */
const WRITE_BYTES_MAX = 65_536;
const FLAGS_AT = 4;

/** The frames that go out on a socket: those of one turn leave in one write. */
export class Outlet {
  readonly #socket: Socket;
  readonly #drained: () => void;
  readonly #flush: () => void;
  #frames: Buffer[] = [];
  #bytes = 0;
  #isFirstBlock = true;
  #state: 'open' | 'ended' = 'open';
  #flushIsDue = false;
  /** The DATA frame that was put last, as long as nothing follows it. */
  #lastData: Buffer | null = null;
  #lastStream = 0;

  /** `drained`: there is room again. */
  constructor(socket: Socket, connection: FailureDomain, drained: () => void) {
    this.#socket = socket;
    this.#drained = guard(connection, drained);
    this.#flush = guard(connection, () => this.#flushAll());
    socket.on('drain', this.#drained);
  }

  /** More of a body may be put here. */
  get hasRoom(): boolean {
    return this.#state === 'open' && this.#bytes < WRITE_BYTES_MAX && !this.#socket.writableNeedDrain;
  }

  /** What was put here and is not with the kernel. */
  get heldBytes(): number {
    return this.#bytes + this.#socket.writableLength;
  }

  put(frame: Buffer): void {
    if (this.#state === 'ended') return;
    this.#lastData = null;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    process.nextTick(this.#flush);
  }

  headers(stream: number, fields: Fields, ends: boolean): void {
    this.put(headersFrame(stream, fields, ends, this.#isFirstBlock));
    this.#isFirstBlock = false;
  }

  data(stream: number, content: Buffer): void {
    for (let at = 0; at < content.length; at += PAYLOAD_BYTES_MAX) {
      this.#dataFrame(stream, content, at, Math.min(content.length, at + PAYLOAD_BYTES_MAX));
    }
  }

  #dataFrame(stream: number, content: Buffer, from: number, to: number): void {
    const joins = to - from <= JOINED_BYTES_MAX;
    const frame = Buffer.allocUnsafe(joins ? HEAD_BYTES + to - from : HEAD_BYTES);
    frameHead(frame, 0, FrameType.DATA, 0, stream, to - from);
    if (joins) content.copy(frame, HEAD_BYTES, from, to);
    this.put(frame);
    if (!joins) this.put(content.subarray(from, to));
    this.#lastData = frame;
    this.#lastStream = stream;
  }

  /** The stream is complete, by its last DATA frame if that is still here. */
  endStream(stream: number): void {
    if (this.#lastData !== null && this.#lastStream === stream) {
      this.#lastData[FLAGS_AT] = FrameFlag.END_STREAM;
      this.#lastData = null;
      return;
    }
    const frame = Buffer.allocUnsafe(HEAD_BYTES);
    frameHead(frame, 0, FrameType.DATA, FrameFlag.END_STREAM, stream, 0);
    this.put(frame);
  }

  acknowledge(type: number, payload = NOTHING): void {
    const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
    frameHead(frame, 0, type, FrameFlag.ACK, 0, payload.length);
    payload.copy(frame, HEAD_BYTES);
    this.put(frame);
  }

  /** What was put here goes out, and then the socket ends. */
  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#write();
    this.#socket.destroySoon();
  }

  #flushAll(): void {
    this.#flushIsDue = false;
    const wasFull = this.#bytes >= WRITE_BYTES_MAX;
    this.#write();
    // The kernel took all of it: no 'drain' follows.
    if (wasFull && this.hasRoom) this.#drained();
  }

  #write(): void {
    const frames = this.#frames;
    if (frames.length === 0) return;
    const bytes = this.#bytes;
    this.#frames = [];
    this.#bytes = 0;
    this.#lastData = null;
    const socket = this.#socket;
    if (!socket.writable) return;
    if (frames.length === 1) socket.write(frames[0] as Buffer);
    else if (bytes <= JOINED_BYTES_MAX) socket.write(Buffer.concat(frames, bytes));
    else {
      socket.cork();
      for (const frame of frames) socket.write(frame);
      socket.uncork();
    }
  }
}
