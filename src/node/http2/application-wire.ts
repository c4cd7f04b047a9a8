import { constants } from 'node:http2';
import { WINDOW_BYTES } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import { ApplicationStream, type ApplicationStreamOwner, type RequestWire } from './application-stream.ts';
import { ControlFrames } from './control-frames.ts';
import { CONCURRENCY_FIELD, type Fields, fieldValue, fitsBlock } from './fields.ts';
import { FrameDecoder, type FrameSink } from './frame-decoder.ts';
import { codeOf, faultOf, numberOf } from './frame-rules.ts';
import { FrameFlag, FrameType, frameHead, goAwayFrame, HEAD_BYTES, wordFrame } from './frames.ts';
import { HeaderAssembly } from './header-assembly.ts';
import { headersFrame, PAYLOAD_BYTES_MAX } from './hpack-encoder.ts';
import type { WireLimits } from './http2-limits.ts';
import { PREFACE } from './preface.ts';
import { readSettings, Setting, settingsFrame } from './settings.ts';
import { FIRST_WINDOW_BYTES } from './upload-windows.ts';

const NOTHING: Buffer = Buffer.alloc(0);
/** Entries of one SETTINGS frame. */
const SETTINGS_MAX = 1_024;
/** Of a response's head, as for HTTP/1.1. */
const RESPONSE_FIELDS_MAX = 1_024;
const RESPONSE_HEAD_BYTES_MAX = 131_072;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** One exchange at a time: the window of its stream, and the link's, are the narrow places. */
const CONNECTION_WINDOW_BYTES = 2 ** 30;
const STREAM_ID_MAX = 2 ** 31 - 1;
/** A smaller piece is copied, so that the memory that was read into may be used again. */
const COPIED_BYTES_MAX = 4_096;
/** Small pieces go out in one write with their frame's head. */
const JOINED_BYTES_MAX = 4_096;

const {
  NGHTTP2_NO_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_COMPRESSION_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_ENHANCE_YOUR_CALM,
} = constants;

export interface ApplicationWireEvents {
  /** Sends a copy. False: nothing more is wanted before `drained`. */
  send(bytes: Buffer): boolean;
  /** The application's SETTINGS came: it speaks HTTP/2. `allowsStreams`: at least one request may be sent. */
  settled(allowsStreams: boolean): void;
  /** The application says something about its limit in a response. */
  said(text: string): void;
  /** It is about to close. */
  leaving(): void;
  /** Once: it has broken the protocol, or sends too much. It is told. */
  broken(): void;
}

/**
 * Our side of a connection to an application: the client of RFC 9113, with one stream at a time. Node's client costs a tenth of a
 * millisecond for each call, drops malformed fields in silence, and leaves some broken sessions open.
 */
export class ApplicationWire implements FrameSink, RequestWire {
  readonly #events: ApplicationWireEvents;
  readonly #control: ControlFrames;
  readonly #decoder = new FrameDecoder(this);
  readonly #block = new HeaderAssembly(RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX);
  #state: 'opening' | 'open' | 'leaving' | 'broken' = 'opening';
  #current: ApplicationStream | null = null;
  #lastId = -1;
  #sendWindow = FIRST_WINDOW_BYTES;
  #streamWindow = FIRST_WINDOW_BYTES;
  /** Bytes of the connection's window that were received and not given back. */
  #untold = 0;
  #hasRoom = true;
  /** Of the DATA frame that is being read: whose it is. */
  #dataStream: ApplicationStream | null = null;
  /** Memory that `receive` was given is used beyond the call. */
  #ownership: Ownership = 'borrowed';

  constructor(limits: WireLimits, events: ApplicationWireEvents) {
    this.#events = events;
    this.#control = new ControlFrames(limits, performance.now());
  }

  /** The first frames. They turn push off, because pushed responses would have no reader. */
  static opening(): Buffer {
    const settings = settingsFrame([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, WINDOW_BYTES],
    ]);
    const window = wordFrame(FrameType.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES);
    return Buffer.concat([PREFACE, settings, window]);
  }

  heard(fields: Fields): void {
    const word = fieldValue(fields, CONCURRENCY_FIELD);
    if (word !== null) this.#events.said(word);
  }

  /** Another exchange may begin. */
  get isUsable(): boolean {
    return this.#state === 'open' && this.#current === null && this.#lastId < STREAM_ID_MAX - 2;
  }

  get current(): ApplicationStream | null {
    return this.#current;
  }

  /** Nothing more is sent before `drained`. */
  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  receive(bytes: Buffer): Ownership {
    this.#ownership = 'borrowed';
    this.#decoder.take(bytes);
    return this.#ownership;
  }

  /** Null: no block is that large. */
  request(fields: Fields, hasBody: boolean, owner: ApplicationStreamOwner): ApplicationStream | null {
    if (!fitsBlock(fields)) return null;
    const isFirst = this.#lastId === -1;
    this.#lastId += 2;
    const method = fields[1] as string;
    const stream = new ApplicationStream(this.#lastId, this, owner, method, hasBody, this.#streamWindow);
    this.#current = stream;
    this.#sendFrame(headersFrame(this.#lastId, fields, !hasBody, isFirst));
    return stream;
  }

  drained(): void {
    this.#hasRoom = true;
    this.#current?.drain();
  }

  /** Says it and stops: `broken` is not told. */
  end(code: number): void {
    if (this.#state === 'broken') return;
    this.#state = 'broken';
    this.#decoder.stop();
    this.#events.send(goAwayFrame(0, code));
  }

  // ── for the stream ──

  sendData(stream: number, piece: Buffer, streamWindow: number): number {
    const bytes = Math.min(piece.length, this.#sendWindow, streamWindow);
    if (bytes <= 0) return 0;
    this.#sendWindow -= bytes;
    for (let at = 0; at < bytes; at += PAYLOAD_BYTES_MAX) this.#dataFrame(stream, piece, at, Math.min(bytes, at + PAYLOAD_BYTES_MAX));
    return bytes;
  }

  sendEnd(stream: number, trailers: Fields): void {
    if (trailers.length > 0 && fitsBlock(trailers)) {
      this.#sendFrame(headersFrame(stream, trailers, true, false));
      return;
    }
    const end = Buffer.allocUnsafe(HEAD_BYTES);
    frameHead(end, 0, FrameType.DATA, FrameFlag.END_STREAM, stream, 0);
    this.#sendFrame(end);
  }

  sendReset(stream: number, code: number): void {
    this.#sendWord(FrameType.RST_STREAM, stream, code);
  }

  sendWindow(stream: number, bytes: number): void {
    this.#sendWord(FrameType.WINDOW_UPDATE, stream, bytes);
  }

  over(stream: ApplicationStream): void {
    if (this.#current === stream) this.#current = null;
  }

  #dataFrame(stream: number, piece: Buffer, from: number, to: number): void {
    const joins = to - from <= JOINED_BYTES_MAX;
    const frame = Buffer.allocUnsafe(joins ? HEAD_BYTES + to - from : HEAD_BYTES);
    frameHead(frame, 0, FrameType.DATA, 0, stream, to - from);
    if (joins) piece.copy(frame, HEAD_BYTES, from, to);
    this.#sendFrame(frame);
    if (!joins) this.#send(piece.subarray(from, to));
  }

  /** A frame of a message: it earns the application frames of its own. */
  #sendFrame(frame: Buffer): void {
    this.#control.sent();
    this.#send(frame);
  }

  #sendWord(type: number, stream: number, word: number): void {
    this.#send(wordFrame(type, stream, word));
  }

  #send(bytes: Buffer): void {
    if (this.#state !== 'broken' && !this.#events.send(bytes)) this.#hasRoom = false;
  }

  // ── what comes ──

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (this.#state === 'opening' && (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0)) {
      // The server's preface is a SETTINGS frame (RFC 9113 section 3.4).
      this.broken(NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const fault = this.#block.isOpen && type !== FrameType.CONTINUATION ? NGHTTP2_PROTOCOL_ERROR : faultOf(type, flags, stream, payload);
    if (fault !== NGHTTP2_NO_ERROR) this.broken(fault);
    else if (this.#spend(type, flags, stream)) this.#dispatch(type, flags, stream, payload);
  }

  #dispatch(type: number, flags: number, stream: number, payload: Buffer): void {
    const isAck = (flags & FrameFlag.ACK) !== 0;
    if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) this.#headers(type, flags, stream, payload);
    else if (type === FrameType.RST_STREAM) this.#reset(stream, codeOf(payload));
    else if (type === FrameType.SETTINGS && !isAck) this.#readSettings(payload);
    else if (type === FrameType.PING && !isAck) this.#answer(FrameType.PING, payload);
    else if (type === FrameType.GOAWAY) this.#goAway(numberOf(payload), codeOf(payload));
    else if (type === FrameType.WINDOW_UPDATE) this.#widen(stream, numberOf(payload));
  }

  /** All that carries no content is counted. A head that does not end the response is, too: interim responses have no other bound. */
  #spend(type: number, flags: number, stream: number): boolean {
    const endsResponse = type === FrameType.HEADERS && (flags & FrameFlag.END_STREAM) !== 0 && stream === this.#current?.id;
    if (endsResponse || this.#control.spend(() => performance.now())) return true;
    this.broken(NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
  }

  #answer(type: number, payload: Buffer): void {
    const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
    frameHead(frame, 0, type, FrameFlag.ACK, 0, payload.length);
    payload.copy(frame, HEAD_BYTES);
    this.#send(frame);
  }

  #headers(type: number, flags: number, stream: number, payload: Buffer): void {
    const block = this.#block;
    const code = type === FrameType.HEADERS ? block.begin(stream, flags, payload) : block.goOn(stream, flags, payload);
    if (code !== NGHTTP2_NO_ERROR) this.broken(code);
    else if (!this.#wasOpened(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (block.isWhole) this.#blockEnded(stream);
  }

  #blockEnded(stream: number): void {
    const { endsStream } = this.#block;
    const decoded = this.#block.decode();
    if (decoded === null) this.broken(NGHTTP2_COMPRESSION_ERROR);
    else if (stream === this.#current?.id) this.#current.headers(decoded, endsStream);
  }

  #wasOpened(stream: number): boolean {
    return stream % 2 === 1 && stream <= this.#lastId;
  }

  #reset(stream: number, code: number): void {
    if (!this.#wasOpened(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (stream === this.#current?.id) this.#current.resetByPeer(code);
  }

  #goAway(last: number, code: number): void {
    if (code !== NGHTTP2_NO_ERROR) {
      this.broken(NGHTTP2_NO_ERROR);
      return;
    }
    this.#state = 'leaving';
    const current = this.#current;
    if (current !== null && current.id > last) current.resetByPeer(NGHTTP2_REFUSED_STREAM);
    this.#events.leaving();
  }

  #readSettings(payload: Buffer): void {
    const { error, streamWindow, streamsMax } = readSettings(payload, SETTINGS_MAX, 0);
    const more = (streamWindow ?? this.#streamWindow) - this.#streamWindow;
    this.#streamWindow += more;
    if (error !== NGHTTP2_NO_ERROR) this.broken(error);
    else if (this.#current?.widen(more) === false) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
    else {
      this.#answer(FrameType.SETTINGS, NOTHING);
      const isFirst = this.#state === 'opening';
      if (isFirst) this.#state = 'open';
      if (isFirst || streamsMax !== null) this.#events.settled(streamsMax !== 0);
      this.#current?.drain();
    }
  }

  #widen(stream: number, bytes: number): void {
    const current = stream === this.#current?.id ? this.#current : null;
    if (stream !== 0 && !this.#wasOpened(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (stream === 0) {
      this.#sendWindow += bytes;
      if (this.#sendWindow > WINDOW_BYTES_MAX) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
      else this.#current?.drain();
    } else if (bytes === 0) current?.breakOff(NGHTTP2_PROTOCOL_ERROR);
    else if (current?.widen(bytes) === false) current.breakOff(NGHTTP2_FLOW_CONTROL_ERROR);
    else current?.drain();
  }

  dataBegins(stream: number, bytes: number, content: number): void {
    const current = stream === this.#current?.id ? this.#current : null;
    this.#dataStream = current;
    if (this.#state === 'opening' || this.#block.isOpen || !this.#wasOpened(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (current !== null && content > 0) this.#control.came(content);
    // One that ends the response is paid for by it.
    else if (current === null || content === 0) this.#spendOnEmpty();
    if (this.#state === 'broken') return;
    this.#untold += bytes;
    if (this.#untold >= CONNECTION_WINDOW_BYTES / 2) {
      this.#sendWord(FrameType.WINDOW_UPDATE, 0, this.#untold);
      this.#untold = 0;
    }
    if (current?.comes(bytes, content) === false) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
  }

  #spendOnEmpty(): void {
    if (!this.#control.spend(() => performance.now())) this.broken(NGHTTP2_ENHANCE_YOUR_CALM);
  }

  data(piece: Buffer): void {
    const stream = this.#dataStream;
    if (stream === null || stream !== this.#current) return;
    const copies = piece.length <= COPIED_BYTES_MAX;
    if (!copies) this.#ownership = 'kept';
    stream.data(copies ? Buffer.from(piece) : piece);
  }

  dataEnds(_stream: number, endsStream: boolean): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (endsStream && stream !== null && stream === this.#current) stream.dataEnds();
  }

  broken(code: number): void {
    if (this.#state === 'broken') return;
    this.end(code);
    this.#events.broken();
  }
}
