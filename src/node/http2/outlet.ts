import type { Socket } from 'node:net';
import { type FailureDomain, guard } from '../../boundary.ts';
import type { Fields } from './fields.ts';
import { FrameFlag, FrameType, frameHead, HEAD_BYTES } from './frames.ts';
import { headersFrame, PAYLOAD_BYTES_MAX } from './hpack-encoder.ts';

const NOTHING: Buffer = Buffer.alloc(0);
/** Small pieces are copied behind their frame's head. */
const JOINED_BYTES_MAX = 4_096;
/** The bytes that leave in one piece of memory. */
const WRITE_BYTES_MAX = 65_536;
const FLAGS_AT = 4;

/** The socket or stream that takes frames away. */
export interface Carrier {
  /** It takes no more before it is drained. */
  readonly isFull: boolean;
  /** The bytes that it took and still keeps. */
  readonly heldBytes: number;
  carry(frames: readonly Buffer[], bytes: number): void;
}

/** The frames that go out on one connection: those of one turn leave together. */
export class Outlet {
  readonly #drained: () => void;
  readonly #carrier: Carrier;
  readonly #flushLater: () => void;
  #frames: Buffer[] = [];
  #bytes = 0;
  #isFirstBlock = true;
  #state: 'open' | 'ended' = 'open';
  #flushIsDue = false;
  /** The DATA frame that was put last, as long as nothing follows it. */
  #lastData: Buffer | null = null;
  #lastStream = 0;

  /** `drained`: there is room again. */
  constructor(carrier: Carrier, connection: FailureDomain, drained: () => void) {
    this.#carrier = carrier;
    this.#drained = drained;
    this.#flushLater = guard(connection, () => this.#flushAll());
  }

  /** More of a body may be put here. */
  get hasRoom(): boolean {
    return this.#state === 'open' && this.#bytes < WRITE_BYTES_MAX && !this.#carrier.isFull;
  }

  /** The bytes that were put here and have not left. */
  get heldBytes(): number {
    return this.#bytes + this.#carrier.heldBytes;
  }

  put(frame: Buffer): void {
    if (this.#state === 'ended') return;
    this.#lastData = null;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    process.nextTick(this.#flushLater);
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

  /** Sends the bytes that were put here, and takes no more. */
  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.flush();
  }

  #flushAll(): void {
    this.#flushIsDue = false;
    const wasFull = this.#bytes >= WRITE_BYTES_MAX;
    this.flush();
    // The carrier took all of it: no word from it follows.
    if (wasFull && this.hasRoom) this.#drained();
  }

  flush(): void {
    const frames = this.#frames;
    if (frames.length === 0) return;
    const bytes = this.#bytes;
    this.#frames = [];
    this.#bytes = 0;
    this.#lastData = null;
    this.#carrier.carry(frames, bytes);
  }
}

/** A client's socket: frames leave in one write. */
export class SocketCarrier implements Carrier {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get heldBytes(): number {
    return this.#socket.writableLength;
  }

  carry(frames: readonly Buffer[], bytes: number): void {
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
