/**
 * The wire format of a link. A frame is an 8-byte head and a payload:
 *
 *     byte 0      type (5 bits) and flags (3 bits)
 *     bytes 1-3   payload length, big endian, at most 65,536
 *     bytes 4-7   stream id, big endian; 0 for frames that speak of the link
 *
 * All numbers in payloads are 32-bit big endian; structured payloads are JSON.
 */
import { LinkProtocolError } from '../errors.ts';

export const PROTOCOL_VERSION = 1;
export const FRAME_HEAD_BYTES = 8;
export const PAYLOAD_BYTES_MAX = 65_536;
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
} as const;

export type FrameType = (typeof Frame)[keyof typeof Frame];

export const Flag = {
  NONE: 0,
  /** DONE: the application connection may serve the next stream. */
  KEEP: 1,
  /** OPEN: the stream needs an application connection that no other stream used. */
  FRESH: 1,
  /** OPEN: not idempotent; a kept connection only if it was in use a moment ago. */
  CAREFUL: 2,
  /** RESET: at least one byte may have reached the application. */
  REACHED: 1,
  /** RESET: the application connection had served an earlier stream. */
  REUSED: 2,
  /** RETIRE_ANSWER, NEWEST: yes. */
  YES: 1,
} as const;

export const ResetCode = {
  /** The answer to a DONE without KEEP, or to a RESET: nothing went wrong. */
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

export type FrameSink = (type: number, flags: number, streamId: number, payload: Buffer) => void;

const EMPTY = Buffer.alloc(0);

/**
 * Cuts a byte stream into frames, however it is split. It keeps only bytes that really came: a frame that claims a
 * long payload costs nothing until the payload is there.
 */
export class FrameReader {
  payloadBytesMax: number;
  readonly #sink: FrameSink;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #wanted = FRAME_HEAD_BYTES;

  constructor(sink: FrameSink, payloadBytesMax = PAYLOAD_BYTES_MAX) {
    this.#sink = sink;
    this.payloadBytesMax = payloadBytesMax;
  }

  /** @throws LinkProtocolError on a frame longer than allowed. */
  push(chunk: Buffer): void {
    if (this.#restBytes > 0) {
      this.#rest.push(chunk);
      this.#restBytes += chunk.length;
      if (this.#restBytes < this.#wanted) return;
      chunk = Buffer.concat(this.#rest, this.#restBytes);
      this.#rest = [];
      this.#restBytes = 0;
    }
    const end = chunk.length;
    let at = 0;
    while (end - at >= FRAME_HEAD_BYTES) {
      const head = chunk.readUInt32BE(at);
      const length = head & 0xffffff;
      if (length > this.payloadBytesMax)
        throw new LinkProtocolError(`frame of ${length} bytes, at most ${this.payloadBytesMax} are allowed`);
      const next = at + FRAME_HEAD_BYTES + length;
      if (next > end) break;
      const payload = length === 0 ? EMPTY : chunk.subarray(at + FRAME_HEAD_BYTES, next);
      this.#sink(head >>> 27, (head >>> 24) & 7, chunk.readUInt32BE(at + 4), payload);
      at = next;
    }
    if (at < end) this.#keep(chunk.subarray(at));
  }

  #keep(rest: Buffer): void {
    this.#rest.push(rest);
    this.#restBytes = rest.length;
    this.#wanted = rest.length < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + (rest.readUInt32BE(0) & 0xffffff);
  }
}

export function u32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer.writeUInt32BE(value, 0);
  return buffer;
}

/** @throws LinkProtocolError when the payload is not exactly one number. */
export function readU32(payload: Buffer): number {
  if (payload.length !== 4) throw new LinkProtocolError(`a number of ${payload.length} bytes, expected 4`);
  return payload.readUInt32BE(0);
}
