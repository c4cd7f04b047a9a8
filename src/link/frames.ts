/**
 * The wire format of a link. A frame is an 8-byte head and a payload:
 *
 *     byte 0      type (5 bits) and flags (3 bits)
 *     bytes 1-3   payload length, big endian, at most 65,536
 *     bytes 4-7   stream id, big endian; 0 for frames about the link
 *
 * All numbers in payloads are 32-bit big endian; structured payloads are JSON.
 */

import { LinkProtocolError } from '../errors.ts';
import type { Ownership } from '../memory/reused-reads.ts';

/** 2: the linker proves the secret first, and proofs are bound to the dialled address. 1 is the version of pullproxy 0.1. */
export const PROTOCOL_VERSION = 2;
/**
 * Optional features of this version, by name. Each side lists them in HELLO and CHALLENGE, and a frame that belongs to a feature is sent only if
 * both sides have it (`link.features`), because an unknown frame type ends the link. The proofs cover both lists, so a man in the middle can't change them.
 */
export const FEATURES: readonly string[] = ['park', 'limits', 'quiet', 'cost', 'agent'];
export const FRAME_HEAD_BYTES = 8;
export const PAYLOAD_BYTES_MAX = 65_536;
/** The longest text of a SAID, which should be a number. */
export const SAID_BYTES_MAX = 64;
/** Before a peer has proved the secret it may send only hellos and proofs, and those are short. */
export const HANDSHAKE_PAYLOAD_BYTES_MAX = 4_096;

export const Frame = {
  HELLO: 0,
  CHALLENGE: 1,
  PROOF: 2,
  WELCOME: 3,
  REFUSE: 4,
  GRANT: 5,
  RECALL: 6,
  RETURN: 7,
  MOVE: 8,
  MOVE_FAILED: 9,
  OPEN: 10,
  DATA: 11,
  END: 12,
  RESET: 13,
  WINDOW: 14,
  DONE: 15,
  NEWEST: 16,
  PING: 17,
  PONG: 18,
  GOAWAY: 19,
  RETIRE: 20,
  RETIRE_ANSWER: 21,
  STATE: 22,
  START: 23,
  CONNECTED: 24,
  CLIENT: 25,
  /** Feature `quiet`. Before OPEN or UNPARK: what the stream carries now does not keep the instance awake. */
  QUIET: 26,
  /** The exchange is over and the slot is idle, but stream and application connection stay for the node's next exchange. */
  PARK: 27,
  /** A parked stream takes an idle slot again. */
  UNPARK: 28,
  /**
   * Feature `limits`. From a linker: the stream waits there, since the limit was lowered while it was on its way. From a node, in response: if it still
   * waits, it is to come back by RESET without REACHED. Otherwise nothing happens, because the application has it by now.
   */
  WAITS: 29,
  /** Feature `limits`. What the application has said about its limit in a response on this stream, as text. */
  SAID: 30,
  /**
   * Feature `cost`. On a stream, before OPEN or UNPARK: what the stream carries now takes so many slots. On stream 0 from a node: the linker
   * brings so many slots together there, taking them from other nodes; 0: no longer. On stream 0 from a linker: no more than so many can be there.
   */
  COST: 31,
} as const;

export const Flag = {
  NONE: 0,
  /**
   * DONE: the application connection may serve the next stream, if the linker sent no more than the bytes that the payload says the node
   * took (modulo 2^32). Nodes of version 0.1 send no payload.
   */
  KEEP: 1,
  /** OPEN: the stream needs an application connection that no other stream used. */
  FRESH: 1,
  /** OPEN: not idempotent; a kept connection only if it was in use a moment ago. */
  CAREFUL: 2,
  /** OPEN: the node wants to know how long connecting to the application takes (CONNECTED). */
  TELL: 4,
  /** RESET: at least one byte may have reached the application. */
  REACHED: 1,
  /** RESET: the application connection had served an earlier stream. */
  REUSED: 2,
  /** RETIRE_ANSWER, NEWEST: yes. */
  YES: 1,
  /** GOAWAY: only this link leaves, not the node: dial the node again. */
  ANEW: 1,
  /** GOAWAY: the instance came too late, all places of its route are taken. A linker that does not know the flag takes it for a node that leaves. */
  TOO_LATE: 2,
} as const;

export const ResetCode = {
  /** The response to a DONE without KEEP, or to a RESET: nothing went wrong. */
  CLOSED: 0,
  /** The application did not accept the connection. */
  APP_REFUSED: 1,
  /** The application closed or broke its connection before the exchange was complete. */
  APP_CLOSED: 2,
  /** The client went away, or the node needs no more of this stream. */
  CANCEL: 3,
  /** Never sent: the link itself broke. */
  LINK_LOST: 4,
} as const;

export type ResetCodeValue = (typeof ResetCode)[keyof typeof ResetCode];

/** Returns whether the payload, or a part of its memory, is used beyond the call. */
export type FrameSink = (type: number, flags: number, streamId: number, payload: Buffer) => Ownership;

const EMPTY = Buffer.alloc(0);
/** A DATA frame with more is not put together when it comes in parts. */
const WHOLE_DATA_BYTES_MAX = 4_096;

/**
 * Cuts a byte stream into frames, however it is split. Frames that came whole are cut out of their chunk without a copy;
 * one that comes in parts is put together in memory that grows with the bytes that came, not with the length that it claims.
 */
export class FrameReader {
  payloadBytesMax: number;
  /** The parts of a large DATA frame are passed on as they come, as if each were a frame: no byte of a body is copied or waits for others. */
  passesParts = false;
  readonly #sink: FrameSink;
  /** The stream of the DATA frame whose parts are being passed on, and its remaining bytes. */
  #passedId = 0;
  #passedLeft = 0;
  #ownership: Ownership = 'borrowed';
  #part = EMPTY;
  #partBytes = 0;

  constructor(sink: FrameSink, payloadBytesMax = PAYLOAD_BYTES_MAX) {
    this.#sink = sink;
    this.payloadBytesMax = payloadBytesMax;
  }

  /** @throws LinkProtocolError on a frame longer than allowed. */
  push(chunk: Buffer): Ownership {
    this.#ownership = 'borrowed';
    const end = chunk.length;
    let at = this.#partBytes > 0 ? this.#complete(chunk) : 0;
    if (this.#passedLeft > 0) at = this.#pass(chunk, at);
    while (end - at >= FRAME_HEAD_BYTES) {
      const next = at + this.#frameBytes(chunk, at);
      if (next > end) {
        if (this.#beginsParts(chunk, at)) at = this.#pass(chunk, at + FRAME_HEAD_BYTES);
        break;
      }
      this.#emit(chunk, at, next);
      at = next;
    }
    if (at < end) this.#append(chunk, at, end, end - at < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : this.#frameBytes(chunk, at));
    return this.#ownership;
  }

  /** Adds what belongs to the begun frame; returns where in the chunk the next one begins. */
  #complete(chunk: Buffer): number {
    let at = 0;
    if (this.#partBytes < FRAME_HEAD_BYTES) {
      at = this.#append(chunk, 0, chunk.length, FRAME_HEAD_BYTES);
      if (this.#partBytes < FRAME_HEAD_BYTES) return at;
    }
    const bytes = this.#frameBytes(this.#part, 0);
    if (this.#partBytes === FRAME_HEAD_BYTES && this.#beginsParts(this.#part, 0)) {
      this.#part = EMPTY;
      this.#partBytes = 0;
      return at;
    }
    at = this.#append(chunk, at, chunk.length, bytes);
    if (this.#partBytes < bytes) return at;
    const frame = this.#part;
    this.#part = EMPTY;
    this.#partBytes = 0;
    this.#emit(frame, 0, bytes);
    return at;
  }

  /** True for the head of a large DATA frame: from here on its payload is given out in parts. */
  #beginsParts(bytes: Buffer, at: number): boolean {
    const head = bytes.readUInt32BE(at);
    const length = head & 0xffffff;
    if (!this.passesParts || length <= WHOLE_DATA_BYTES_MAX || head >>> 24 !== Frame.DATA << 3) return false;
    this.#passedId = bytes.readUInt32BE(at + 4);
    this.#passedLeft = length;
    return true;
  }

  /** Gives out what the chunk has of it from `at` on; returns where it stopped. */
  #pass(chunk: Buffer, at: number): number {
    const stop = Math.min(chunk.length, at + this.#passedLeft);
    if (stop === at) return at;
    this.#passedLeft -= stop - at;
    const part = at === 0 && stop === chunk.length ? chunk : chunk.subarray(at, stop);
    if (this.#sink(Frame.DATA, 0, this.#passedId, part) === 'kept') this.#ownership = 'kept';
    return stop;
  }

  /** Takes bytes between `at` and `end` until the part has `wanted`; returns where it stopped. */
  #append(chunk: Buffer, at: number, end: number, wanted: number): number {
    const stop = Math.min(end, at + wanted - this.#partBytes);
    const bytes = this.#partBytes + stop - at;
    if (bytes > this.#part.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(wanted, 2 * bytes));
      this.#part.copy(grown, 0, 0, this.#partBytes);
      this.#part = grown;
    }
    chunk.copy(this.#part, this.#partBytes, at, stop);
    this.#partBytes = bytes;
    return stop;
  }

  #frameBytes(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at) & 0xffffff;
    if (length > this.payloadBytesMax) throw new LinkProtocolError(`frame of ${length} bytes, at most ${this.payloadBytesMax} are allowed`);
    return FRAME_HEAD_BYTES + length;
  }

  #emit(bytes: Buffer, at: number, next: number): void {
    const head = bytes.readUInt32BE(at);
    const payload = at + FRAME_HEAD_BYTES === next ? EMPTY : bytes.subarray(at + FRAME_HEAD_BYTES, next);
    if (this.#sink(head >>> 27, (head >>> 24) & 7, bytes.readUInt32BE(at + 4), payload) === 'kept') this.#ownership = 'kept';
  }
}

/** @throws LinkProtocolError when the payload is not exactly one number. */
export function readU32(payload: Buffer): number {
  if (payload.length !== 4) throw new LinkProtocolError(`a number of ${payload.length} bytes, expected 4`);
  return payload.readUInt32BE(0);
}

/** @throws LinkProtocolError when the payload is not a code that a peer may send. */
export function readResetCode(payload: Buffer): ResetCodeValue {
  const code = readU32(payload);
  if (code >= ResetCode.LINK_LOST) throw new LinkProtocolError(`reset code ${code}`);
  return code as ResetCodeValue;
}
