import { caught, type FailureDomain, impossible } from '../boundary.ts';
import { LinkProtocolError } from '../errors.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import { WaitingBytes } from '../memory/waiting-bytes.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Frame, PAYLOAD_BYTES_MAX, type ResetCodeValue } from './frames.ts';

/** Bytes that one side may send on a stream before the other has passed them on: the bound of a stream's memory, per direction. */
export const WINDOW_BYTES = 524_288;
/** A received chunk that waits is copied when the memory it is a part of is more than this many times its size. */
const PINNED_SHARE_MIN = 4;

/**
 * Where a stream is in its life, as RFC 9113 section 5.1 names it. `closing`: both sides have ended, the slot is still in use.
 * `abandoned`: this side gave it up, or was told to, and the slot is in use until the linker's RESET.
 */
export type StreamState = 'open' | 'half-closed-local' | 'half-closed-remote' | 'closing' | 'abandoned' | 'closed';

const NEXT_STATES: Readonly<Record<StreamState, readonly StreamState[]>> = {
  open: ['half-closed-local', 'half-closed-remote', 'abandoned', 'closed'],
  'half-closed-local': ['closing', 'abandoned', 'closed'],
  'half-closed-remote': ['closing', 'abandoned', 'closed'],
  closing: ['abandoned', 'closed'],
  abandoned: ['closed'],
  closed: [],
};

/** An error in it ends it and its stream. Other streams of the link go on. */
export interface StreamHandler extends FailureDomain {
  /**
   * `stream.consumed(chunk.length)` says when it was passed on.
   */
  onData(chunk: Buffer): Ownership;
  /** The peer sends no more (half-close). */
  onEnd(): void;
  /** After `write` returned false: everything queued has been sent, with the END if there was one. */
  onDrain(): void;
  /** The stream is over without this side having ended it. `reached`: a byte may have reached the application; `reused`: its connection had served before. */
  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void;
  /** The application was not given the stream: it waits for room below a limit that was lowered. It may be taken back. */
  onWaits?(): void;
  /** Only where the OPEN said Flag.TELL: the application's connection is there, after so many microseconds; 0: it was kept. */
  onConnected?(microseconds: number): void;
}

/** One request or connection on a link; occupies one slot. Both sides use the same class, the roles differ in who ends it. */
export class Stream {
  readonly id: number;
  handler: StreamHandler | null = null;
  #state: StreamState = 'open';
  /** The peer wants to hear CONNECTED. */
  tells = false;
  /** The client, as client-ends.ts writes it; '' when it is not known, or the linker did not ask. */
  client = '';
  /** The request that it carries now does not keep the instance awake. */
  quiet = false;
  /** Slots that it occupies while it is not parked. */
  cost = 1;
  /** It occupies no slot: its application connection is kept for the node's next exchange. */
  parked = false;
  /** Set for a relayed stream: its slot goes back to the relay. */
  onOver: (() => void) | null = null;
  /** Bytes of DATA that came. */
  receivedBytes = 0;
  /** Bytes that this side was given to send, sent or not. */
  writtenBytes = 0;
  readonly #writer: FrameWriter;
  #credit = WINDOW_BYTES;
  /** Received, not yet passed on. */
  #unconsumed = 0;
  /** Passed on, not yet told to the sender. */
  #untold = 0;
  /** Null: nothing waits. */
  #pending: WaitingBytes[] | null = null;
  #endPending = false;

  constructor(id: number, writer: FrameWriter) {
    this.id = id;
    this.#writer = writer;
  }

  get state(): StreamState {
    return this.#state;
  }

  #transition(to: StreamState): void {
    // The message is made for nothing else: a stream of a warm request pays for no text.
    if (!NEXT_STATES[this.#state].includes(to)) impossible(`stream ${this.id} can not go from ${this.#state} to ${to}`);
    this.#state = to;
  }

  /** Bytes queued here for want of credit. The source must stop at `false`, so this stays within one read of it. */
  get pendingBytes(): number {
    if (this.#pending === null) return 0;
    let bytes = 0;
    for (const chunk of this.#pending) bytes += chunk.length;
    return bytes;
  }

  get sendable(): boolean {
    return this.#state === 'open' || this.#state === 'half-closed-remote';
  }

  get receiving(): boolean {
    return this.#state === 'open' || this.#state === 'half-closed-local';
  }

  /** True when the bytes that an OPEN carries fit the first window. */
  chargeOpening(bytes: number): void {
    this.#credit -= bytes;
  }

  /** Queues a copy of the bytes. False: the peer must catch up first, wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    if (!this.sendable || this.#endPending) return true;
    this.writtenBytes += chunk.length;
    if (this.#pending !== null) {
      this.#pending.push(new WaitingBytes(chunk));
      return false;
    }
    const sent = this.#send(chunk);
    if (sent === chunk.length) return true;
    this.#pending = [new WaitingBytes(chunk.subarray(sent))];
    return false;
  }

  /** Says that the application's connection is there, if that is wanted. */
  connected(microseconds: number): void {
    if (!this.tells || !this.sendable) return;
    this.tells = false;
    this.#writer.number(Frame.CONNECTED, 0, this.id, microseconds);
  }

  /** Half-close, after everything that was written. */
  end(): void {
    if (!this.sendable || this.#endPending) return;
    if (this.#pending !== null) {
      this.#endPending = true;
      return;
    }
    this.#writer.frame(Frame.END, 0, this.id, null);
    this.#transition(this.#state === 'open' ? 'half-closed-local' : 'closing');
  }

  /** `bytes` of received data were passed on: the sender gets them as new credit, in halves of a window. */
  consumed(bytes: number): void {
    this.#unconsumed -= bytes;
    this.#untold += bytes;
    if (this.#untold >= WINDOW_BYTES / 2 && this.receiving) {
      this.#writer.number(Frame.WINDOW, 0, this.id, this.#untold);
      this.#untold = 0;
    }
  }

  /** Frames from the peer; called by the link. Returns whether the chunk's memory is used beyond the call. */
  receiveData(chunk: Buffer): Ownership {
    if (!this.receiving) {
      if (this.#state === 'closed') return 'borrowed';
      if (this.#state !== 'abandoned') throw new LinkProtocolError(`data on stream ${this.id} after its end`);
      // It was on its way when this side abandoned the stream: no more than the peer had credit for.
      this.#unconsumed += chunk.length;
      if (this.#unconsumed + this.#untold > WINDOW_BYTES) throw new LinkProtocolError(`stream ${this.id} exceeds its window`);
      return 'borrowed';
    }
    const waiting = this.#unconsumed > 0;
    this.#unconsumed += chunk.length;
    this.receivedBytes += chunk.length;
    if (this.#unconsumed + this.#untold > WINDOW_BYTES) throw new LinkProtocolError(`stream ${this.id} exceeds its window`);
    // A small chunk that waits for a slow reader must not keep the memory of the whole read.
    const isPart = waiting && chunk.length * PINNED_SHARE_MIN < chunk.buffer.byteLength;
    const ownership = this.#give(isPart ? Buffer.from(chunk) : chunk);
    return isPart ? 'borrowed' : ownership;
  }

  #give(chunk: Buffer): Ownership {
    const { handler } = this;
    if (handler === null) return 'borrowed';
    try {
      return handler.onData(chunk);
    } catch (error) {
      caught(handler, error);
      return 'kept';
    }
  }

  receiveEnd(): void {
    if (!this.receiving) return;
    this.#transition(this.#state === 'open' ? 'half-closed-remote' : 'closing');
    const { handler } = this;
    try {
      handler?.onEnd();
    } catch (error) {
      if (handler !== null) caught(handler, error);
    }
  }

  /**
   * At the node, for a stream that waits at the linker: it comes back by a reset that did not reach the application, unless the application is given it
   * before that.
   */
  takeBack(): void {
    if (this.#state !== 'abandoned' && this.#state !== 'closed') this.#writer.frame(Frame.WAITS, 0, this.id, null);
  }

  receiveWindow(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > WINDOW_BYTES) throw new LinkProtocolError(`stream ${this.id} was given more credit than its window`);
    if (this.#pending === null || !this.sendable) return;
    for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
      first.drop(this.#send(first.bytes));
      if (first.length > 0) return;
      this.#pending.shift();
    }
    this.#pending = null;
    if (this.#endPending) {
      this.#endPending = false;
      this.end();
    }
    const { handler } = this;
    try {
      handler?.onDrain();
    } catch (error) {
      if (handler !== null) caught(handler, error);
    }
  }

  /** The stream is over for `handler`, which it had until now. */
  static tellReset(handler: StreamHandler | null, code: ResetCodeValue, reached: boolean, reused: boolean): void {
    try {
      handler?.onReset(code, reached, reused);
    } catch (error) {
      if (handler !== null) caught(handler, error);
    }
  }

  /** Nothing is sent or heard any more. */
  close(): void {
    this.#transition('closed');
    this.#forget();
  }

  /** This side gives the stream up; what still comes is dropped. One that is over stays so. */
  abandon(): void {
    if (this.#state !== 'abandoned' && this.#state !== 'closed') this.#transition('abandoned');
    this.#forget();
  }

  #forget(): void {
    if (this.#pending !== null) for (const waiting of this.#pending) waiting.dropAll();
    this.#pending = null;
    this.handler = null;
  }

  /** Returns how many of the bytes there was credit for. */
  #send(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#credit > 0) {
      const bytes = Math.min(chunk.length - at, this.#credit, PAYLOAD_BYTES_MAX);
      this.#writer.frame(Frame.DATA, 0, this.id, at === 0 && bytes === chunk.length ? chunk : chunk.subarray(at, at + bytes));
      this.#credit -= bytes;
      at += bytes;
    }
    return at;
  }
}
