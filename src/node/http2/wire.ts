import { constants } from 'node:http2';
import { ControlFrames } from './control-frames.ts';
import type { Fields } from './fields.ts';
import { FrameDecoder, type FrameSink } from './frame-decoder.ts';
import { codeOf, faultOf, numberOf } from './frame-rules.ts';
import { FrameFlag, FrameType, wordFrame } from './frames.ts';
import { HeaderAssembly } from './header-assembly.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import type { WireLimits } from './http2-limits.ts';
import type { Outlet } from './outlet.ts';
import { readSettings } from './settings.ts';
import { FIRST_WINDOW_BYTES } from './upload-windows.ts';

const WINDOW_BYTES_MAX = 2 ** 31 - 1;
const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_COMPRESSION_ERROR } = constants;

/** A stream, as its connection needs it. */
export interface WireStream {
  readonly id: number;
  /** Changes how much may be sent on it. False: the window would be larger than any may be. */
  widen(bytes: number): boolean;
}

/** A connection, as its streams need it. */
export interface StreamWire {
  /** False: nothing more of a body is sent for now. */
  readonly hasRoom: boolean;
  sendHeaders(stream: number, fields: Fields, ends: boolean): void;
  /** Returns how much of the piece the connection's window and the stream's let through. */
  sendData(stream: number, piece: Buffer, streamWindow: number): number;
  sendEnd(stream: number): void;
  sendReset(stream: number, code: number): void;
  sendWindow(stream: number, bytes: number): void;
}

/** The limits of what a peer may send. */
export interface WireBounds {
  /** Both are for each header block. */
  readonly fieldsMax: number;
  readonly listBytesMax: number;
  /** Window of the connection. */
  readonly windowBytes: number;
  /** Entries of one SETTINGS frame. */
  readonly settingsMax: number;
  /** The largest value of its ENABLE_PUSH. */
  readonly pushMax: 0 | 1;
}

/** The part of RFC 9113 that both ends share: frames, header blocks, SETTINGS, and windows in both directions. */
export abstract class Wire<Stream extends WireStream> implements FrameSink, StreamWire {
  protected readonly control: ControlFrames;
  protected readonly decoder = new FrameDecoder(this);
  /** The peer's first SETTINGS came. */
  protected isSettled = false;
  /** With which each stream begins. */
  protected streamWindow = FIRST_WINDOW_BYTES;
  /** Whose DATA frame is being read; null: its content is dropped. */
  protected dataStream: Stream | null = null;
  protected abstract readonly outlet: Outlet;
  readonly #bounds: WireBounds;
  readonly #block: HeaderAssembly;
  #sendWindow = FIRST_WINDOW_BYTES;
  /** The bytes that the peer may send. */
  #credit: number;

  constructor(bounds: WireBounds, limits: WireLimits) {
    this.#bounds = bounds;
    this.#credit = bounds.windowBytes;
    this.#block = new HeaderAssembly(bounds.fieldsMax, bounds.listBytesMax);
    this.control = new ControlFrames(limits, performance.now());
  }

  /** It has ended, and nothing more is sent. */
  protected abstract readonly isOver: boolean;
  /** The stream of this number, while it is open. */
  protected abstract streamOf(id: number): Stream | null;
  protected abstract openStreams(): Iterable<Stream>;
  /** It can't be open, or have been. */
  protected abstract isIdle(id: number): boolean;
  /** Only such streams have header blocks. */
  protected abstract mayHaveBlock(id: number): boolean;
  /** Pays for a frame that carries no content. False: that was too much, and the connection is broken. */
  protected abstract pays(type: number, flags: number, id: number): boolean;
  protected abstract blockCame(id: number, block: DecodedBlock, ends: boolean): void;
  protected abstract resetCame(id: number, code: number): void;
  protected abstract goAwayCame(last: number, code: number): void;
  protected abstract settingsCame(isFirst: boolean, streamsMax: number | null): void;
  /** A DATA frame begins. Returns whether its content is wanted. `stream`: null where none is open. */
  protected abstract dataCame(stream: Stream | null, id: number, bytes: number, content: number): boolean;
  /** Ends a stream for what the peer did. */
  protected abstract refuse(stream: Stream, code: number): void;
  /** A window has grown. */
  protected abstract roomCame(): void;
  abstract broken(code: number): void;
  abstract data(piece: Buffer): void;
  abstract dataEnds(id: number, endsStream: boolean): void;

  /** The connection's window lets something through. */
  protected get mayData(): boolean {
    return this.#sendWindow > 0;
  }

  // ── for its streams ──

  get hasRoom(): boolean {
    return this.outlet.hasRoom;
  }

  sendHeaders(stream: number, fields: Fields, ends: boolean): void {
    this.control.sent();
    this.outlet.headers(stream, fields, ends);
  }

  sendData(stream: number, piece: Buffer, streamWindow: number): number {
    const bytes = Math.min(piece.length, this.#sendWindow, streamWindow);
    if (bytes <= 0 || this.isOver) return 0;
    this.#sendWindow -= bytes;
    this.control.sent();
    this.outlet.data(stream, bytes === piece.length ? piece : piece.subarray(0, bytes));
    return bytes;
  }

  sendEnd(stream: number): void {
    this.outlet.endStream(stream);
  }

  sendReset(stream: number, code: number): void {
    if (!this.isOver) this.outlet.put(wordFrame(FrameType.RST_STREAM, stream, code));
  }

  sendWindow(stream: number, bytes: number): void {
    this.outlet.put(wordFrame(FrameType.WINDOW_UPDATE, stream, bytes));
  }

  // ── what comes ──

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    // Each side begins with SETTINGS (RFC 9113 section 3.4).
    const isPreface = type === FrameType.SETTINGS && (flags & FrameFlag.ACK) === 0;
    const isOutOfPlace = (!this.isSettled && !isPreface) || (this.#block.isOpen && type !== FrameType.CONTINUATION);
    const fault = isOutOfPlace ? NGHTTP2_PROTOCOL_ERROR : faultOf(type, flags, stream, payload);
    if (fault !== NGHTTP2_NO_ERROR) this.broken(fault);
    else if (this.pays(type, flags, stream)) this.#dispatch(type, flags, stream, payload);
  }

  #dispatch(type: number, flags: number, stream: number, payload: Buffer): void {
    const isAck = (flags & FrameFlag.ACK) !== 0;
    if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) this.#headers(type, flags, stream, payload);
    else if (type === FrameType.RST_STREAM) this.#reset(stream, codeOf(payload));
    else if (type === FrameType.SETTINGS && !isAck) this.#readSettings(payload);
    else if (type === FrameType.PING && !isAck) this.outlet.acknowledge(FrameType.PING, payload);
    else if (type === FrameType.WINDOW_UPDATE) this.#widen(stream, numberOf(payload));
    else if (type === FrameType.GOAWAY) this.goAwayCame(numberOf(payload), codeOf(payload));
  }

  #headers(type: number, flags: number, stream: number, payload: Buffer): void {
    const block = this.#block;
    const code = type === FrameType.HEADERS ? block.begin(stream, flags, payload) : block.goOn(stream, flags, payload);
    if (!this.mayHaveBlock(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (code !== NGHTTP2_NO_ERROR) this.broken(code);
    else if (block.isWhole) {
      const decoded = block.decode();
      if (decoded === null) this.broken(NGHTTP2_COMPRESSION_ERROR);
      else this.blockCame(stream, decoded, block.endsStream);
    }
  }

  #reset(stream: number, code: number): void {
    if (this.isIdle(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else this.resetCame(stream, code);
  }

  #readSettings(payload: Buffer): void {
    const { error, streamWindow, streamsMax } = readSettings(payload, this.#bounds.settingsMax, this.#bounds.pushMax);
    if (error !== NGHTTP2_NO_ERROR || !this.#setStreamWindow(streamWindow ?? this.streamWindow)) {
      this.broken(error === NGHTTP2_NO_ERROR ? NGHTTP2_FLOW_CONTROL_ERROR : error);
      return;
    }
    this.outlet.acknowledge(FrameType.SETTINGS);
    const isFirst = !this.isSettled;
    this.isSettled = true;
    this.settingsCame(isFirst, streamsMax);
    this.roomCame();
  }

  #setStreamWindow(bytes: number): boolean {
    const more = bytes - this.streamWindow;
    this.streamWindow = bytes;
    let fits = true;
    for (const stream of this.openStreams()) fits = stream.widen(more) && fits;
    return fits;
  }

  #widen(id: number, bytes: number): void {
    if (id === 0) {
      this.#sendWindow += bytes;
      if (this.#sendWindow > WINDOW_BYTES_MAX) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
      else this.roomCame();
      return;
    }
    const stream = this.streamOf(id);
    if (this.isIdle(id)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (stream === null) return;
    else if (bytes === 0) this.refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else if (!stream.widen(bytes)) this.refuse(stream, NGHTTP2_FLOW_CONTROL_ERROR);
    else this.roomCame();
  }

  dataBegins(id: number, bytes: number, content: number): void {
    this.dataStream = null;
    const isOutOfPlace = !this.isSettled || this.#block.isOpen || id === 0 || this.isIdle(id);
    this.#credit -= bytes;
    if (isOutOfPlace || this.#credit < 0) {
      this.broken(isOutOfPlace ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_FLOW_CONTROL_ERROR);
      return;
    }
    const { windowBytes } = this.#bounds;
    if (this.#credit < windowBytes / 2) {
      this.sendWindow(0, windowBytes - this.#credit);
      this.#credit = windowBytes;
    }
    const stream = this.streamOf(id);
    if (this.dataCame(stream, id, bytes, content)) this.dataStream = stream;
  }
}
