import { constants } from 'node:http2';
import { FrameFlag, FrameType, HEAD_BYTES, wordAt } from './frames.ts';
import { PAYLOAD_BYTES_MAX } from './hpack-encoder.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Called for frames. No call follows `broken`. */
export interface FrameSink {
  /** A whole frame that is not DATA. Its payload is not to be used beyond the call. */
  frame(type: number, flags: number, stream: number, payload: Buffer): void;
  /** A DATA frame begins: `bytes` of its payload count for the windows, `content` of them are content. */
  dataBegins(stream: number, bytes: number, content: number): void;
  /** A piece of its content. It may be a part of what `take` was given. */
  data(piece: Buffer): void;
  dataEnds(stream: number, endsStream: boolean): void;
  /** It can't be understood: by what error. */
  broken(code: number): void;
}

/** Cuts what a peer sends into frames, however it comes. Each piece of a DATA frame is passed on as it comes. */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #head = Buffer.allocUnsafe(HEAD_BYTES);
  #headBytes = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;
  /** Bytes of the frame's payload that have not come yet. */
  #left = 0;
  /** Those at its end that are padding. */
  #padding = 0;
  /** DATA whose first byte says how much padding there is. */
  #awaitsPadding = false;
  /** The part that has come of a payload that is passed on as a whole. */
  #payload: Buffer = NOTHING;
  #payloadBytes = 0;
  #isOpen = true;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** From now on nothing is looked at. */
  stop(): void {
    this.#isOpen = false;
    this.#payload = NOTHING;
  }

  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.#isOpen; ) {
      if (this.#headBytes < HEAD_BYTES) at = this.#takeHead(bytes, at);
      else if (this.#type === FrameType.DATA) at = this.#takeData(bytes, at);
      else at = this.#takePayload(bytes, at);
    }
  }

  #takeHead(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && this.#headBytes < HEAD_BYTES) this.#head[this.#headBytes++] = bytes[at++] as number;
    if (this.#headBytes === HEAD_BYTES) this.#begin();
    return at;
  }

  #begin(): void {
    const head = this.#head;
    this.#left = wordAt(head, 0) >>> 8;
    this.#type = head[3] as number;
    this.#flags = head[4] as number;
    this.#stream = wordAt(head, 5) & 0x7fffffff;
    if (this.#left > PAYLOAD_BYTES_MAX) {
      this.#break(constants.NGHTTP2_FRAME_SIZE_ERROR);
      return;
    }
    if (this.#type === FrameType.DATA) {
      this.#awaitsPadding = (this.#flags & FrameFlag.PADDED) !== 0;
      this.#padding = 0;
      if (!this.#awaitsPadding) this.#beginData(this.#left, this.#left);
      else if (this.#left === 0) this.#break(constants.NGHTTP2_FRAME_SIZE_ERROR);
    } else if (this.#left === 0) this.#whole(NOTHING);
  }

  #takePayload(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    if (this.#payloadBytes === 0 && end - at === this.#left) {
      this.#whole(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
      return end;
    }
    if (this.#payloadBytes === 0) this.#payload = Buffer.allocUnsafe(this.#left);
    bytes.copy(this.#payload, this.#payloadBytes, at, end);
    this.#payloadBytes += end - at;
    this.#left -= end - at;
    if (this.#left === 0) this.#whole(this.#payload);
    return end;
  }

  #whole(payload: Buffer): void {
    this.#headBytes = 0;
    this.#payload = NOTHING;
    this.#payloadBytes = 0;
    this.#sink.frame(this.#type, this.#flags, this.#stream, payload);
  }

  #takeData(bytes: Buffer, from: number): number {
    let at = from;
    if (this.#awaitsPadding) {
      this.#awaitsPadding = false;
      this.#padding = bytes[at++] as number;
      this.#left--;
      const content = this.#left - this.#padding;
      if (content < 0) this.#break(constants.NGHTTP2_PROTOCOL_ERROR);
      else this.#beginData(this.#left + 1, content);
      return at;
    }
    const end = Math.min(bytes.length, at + this.#left);
    const contentEnd = Math.min(end, at + Math.max(0, this.#left - this.#padding));
    this.#left -= end - at;
    if (contentEnd > at) this.#sink.data(bytes.subarray(at, contentEnd));
    this.#endDataIfWhole();
    return end;
  }

  #beginData(bytes: number, content: number): void {
    this.#sink.dataBegins(this.#stream, bytes, content);
    this.#endDataIfWhole();
  }

  #endDataIfWhole(): void {
    if (this.#left > 0 || !this.#isOpen) return;
    this.#headBytes = 0;
    this.#sink.dataEnds(this.#stream, (this.#flags & FrameFlag.END_STREAM) !== 0);
  }

  #break(code: number): void {
    this.stop();
    this.#sink.broken(code);
  }
}
