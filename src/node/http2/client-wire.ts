import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import { type FailureDomain, guard } from '../../boundary.ts';
import type { ClientLimits } from '../../config/listener-settings.ts';
import { ownBytes } from '../../memory/reused-reads.ts';
import { HEADERS_MAX } from '../http1/head/head-lines.ts';
import type { Allowance } from './allowance.ts';
import { ClientAllowances } from './client-allowances.ts';
import { ClientStream, type ResponseWire } from './client-stream.ts';
import type { ControlFrames } from './control-frames.ts';
import { areRegular, type Fields, NO_FIELDS } from './fields.ts';
import { FrameDecoder, type FrameSink } from './frame-decoder.ts';
import { codeOf, faultOf, numberOf } from './frame-rules.ts';
import { FrameFlag, FrameType, goAwayFrame, wordFrame } from './frames.ts';
import { HeaderAssembly } from './header-assembly.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import { HTTP2_LIMITS } from './http2-limits.ts';
import { Outlet } from './outlet.ts';
import { PrefaceReader } from './preface.ts';
import { contentLengthOf, judgeBlock, type OpenedRequest } from './request-fields.ts';
import { readSettings, Setting, settingsFrame } from './settings.ts';
import { StreamNumbers } from './stream-numbers.ts';
import { Turns } from './turns.ts';
import { FIRST_WINDOW_BYTES, UploadWindow, type WindowBudget } from './upload-windows.ts';

const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** What comes is taken off it at once: it only has to fill the line. */
const CONNECTION_WINDOW_BYTES = 32 * 1_048_576;
/** Of each field, by which RFC 9113 section 6.5.2 counts a head. */
const FIELD_OVERHEAD_BYTES = 32;
/** Of a head, pieces of cookies included. */
const FIELDS_MAX = HEADERS_MAX + HTTP2_LIMITS.cookieCrumbsMax;

const {
  NGHTTP2_NO_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_STREAM_CLOSED,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_CANCEL,
  NGHTTP2_COMPRESSION_ERROR,
  NGHTTP2_ENHANCE_YOUR_CALM,
} = constants;

/**
 * Our side of a client's connection: the server of RFC 9113. Each fault ends its stream, or the connection where the RFC says so; and what
 * a client does is counted relative to what it is served, not over the connection's life.
 */
export class ClientWire implements FrameSink, ResponseWire {
  readonly #socket: Socket;
  readonly #limits: ClientLimits;
  readonly #budget: WindowBudget;
  readonly #opened: (request: OpenedRequest) => void;
  readonly #preface = new PrefaceReader();
  readonly #decoder = new FrameDecoder(this);
  readonly #block: HeaderAssembly;
  readonly #outlet: Outlet;
  readonly #allowances: ClientAllowances;
  readonly #streams = new Map<number, ClientStream>();
  readonly turns = new Turns();
  readonly #numbers = new StreamNumbers();
  /** Requests that have begun in what is being read. */
  #begun: OpenedRequest[] = [];
  #state: 'preface' | 'settings' | 'open' | 'leaving' | 'over' = 'preface';
  #sendWindow = FIRST_WINDOW_BYTES;
  #streamWindow = FIRST_WINDOW_BYTES;
  #credit = CONNECTION_WINDOW_BYTES;
  #dataStream: ClientStream | null = null;

  constructor(
    socket: Socket,
    limits: ClientLimits,
    budget: WindowBudget,
    connection: FailureDomain,
    opened: (request: OpenedRequest) => void,
  ) {
    this.#socket = socket;
    this.#limits = limits;
    this.#budget = budget;
    this.#opened = opened;
    const listBytesMax = limits.headBytesMax + FIELDS_MAX * FIELD_OVERHEAD_BYTES;
    this.#block = new HeaderAssembly(FIELDS_MAX, listBytesMax);
    this.#allowances = new ClientAllowances(limits, performance.now());
    this.#outlet = new Outlet(socket, connection, () => this.#sendWaiting());
    this.#outlet.put(
      settingsFrame([
        [Setting.MAX_CONCURRENT_STREAMS, limits.http2StreamsMax],
        [Setting.MAX_HEADER_LIST_SIZE, listBytesMax],
      ]),
    );
    this.#outlet.put(wordFrame(FrameType.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES));
    const data = guard(connection, (bytes: Buffer) => this.#take(bytes));
    const gone = guard(connection, () => this.destroy());
    socket.on('data', data);
    socket.on('end', gone);
    socket.once('close', gone);
    socket.resume();
  }

  /** The client was told that nothing more is served. */
  get isLeaving(): boolean {
    return this.#state === 'leaving' || this.#state === 'over';
  }

  /** No more requests are served; those that are there are, and then the connection ends. */
  close(): void {
    if (this.isLeaving) return;
    this.#state = 'leaving';
    this.#numbers.lastServed = this.#numbers.last;
    this.#outlet.put(goAwayFrame(this.#numbers.last, NGHTTP2_NO_ERROR));
    this.#endIfIdle();
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#stop();
    this.#socket.destroy();
  }

  /** Once: what follows is not looked at. */
  #end(code: number): void {
    if (this.#state === 'over') return;
    this.#outlet.put(goAwayFrame(this.#numbers.last, code));
    this.#stop();
    this.#outlet.end();
  }

  #stop(): void {
    this.#state = 'over';
    this.#decoder.stop();
    this.#begun = [];
    for (const stream of [...this.#streams.values()]) stream.goneWith(NGHTTP2_CANCEL);
  }

  #endIfIdle(): void {
    if (this.#state !== 'leaving' || this.#streams.size > 0) return;
    this.#stop();
    this.#outlet.end();
  }

  // ── for its streams ──

  get hasRoom(): boolean {
    return this.#outlet.hasRoom;
  }

  sendHeaders(stream: number, fields: Fields, ends: boolean): void {
    this.#allowances.control.sent();
    this.#outlet.headers(stream, fields, ends);
  }

  sendData(stream: number, piece: Buffer, streamWindow: number): number {
    const bytes = Math.min(piece.length, this.#sendWindow, streamWindow);
    if (bytes <= 0 || this.#state === 'over') return 0;
    this.#sendWindow -= bytes;
    this.#allowances.control.sent();
    this.#outlet.data(stream, bytes === piece.length ? piece : piece.subarray(0, bytes));
    return bytes;
  }

  sendEnd(stream: number): void {
    this.#outlet.endStream(stream);
  }

  sendReset(stream: number, code: number): void {
    if (this.#state !== 'over') this.#outlet.put(wordFrame(FrameType.RST_STREAM, stream, code));
  }

  sendWindow(stream: number, bytes: number): void {
    this.#outlet.put(wordFrame(FrameType.WINDOW_UPDATE, stream, bytes));
  }

  responseEnded(): void {
    this.#allowances.answered();
  }

  resetHere({ id, requestEnded }: ClientStream): void {
    if (!requestEnded) this.#numbers.wasReset(id);
  }

  over(stream: ClientStream): void {
    this.#streams.delete(stream.id);
    this.turns.delete(stream);
    this.#endIfIdle();
  }

  #sendWaiting(): void {
    this.turns.take(() => this.hasRoom && this.#sendWindow > 0);
  }

  // ── what comes ──

  #take(bytes: Buffer): void {
    if (this.#state === 'over') return;
    const from = this.#state === 'preface' ? this.#takePreface(bytes) : 0;
    this.#decoder.take(from === 0 ? bytes : bytes.subarray(from));
    const begun = this.#begun;
    if (begun.length === 0) return;
    // What was reset in the bytes that opened it begins nowhere (CVE-2023-44487, rapid reset).
    this.#begun = [];
    for (const request of begun) if (request.stream.isOpen) this.#opened(request);
  }

  #takePreface(bytes: Buffer): number {
    const length = this.#preface.take(bytes);
    if (length === -1) this.#end(NGHTTP2_PROTOCOL_ERROR);
    else if (this.#preface.isWhole) this.#state = 'settings';
    return Math.max(0, length);
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (this.#state === 'settings') {
      if (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0) {
        this.broken(NGHTTP2_PROTOCOL_ERROR);
        return;
      }
      this.#state = 'open';
    }
    const fault = this.#block.isOpen && type !== FrameType.CONTINUATION ? NGHTTP2_PROTOCOL_ERROR : faultOf(type, flags, stream, payload);
    if (fault !== NGHTTP2_NO_ERROR) this.broken(fault);
    else if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) this.#headers(type, flags, stream, payload);
    else if (type === FrameType.RST_STREAM) this.#reset(stream, codeOf(payload));
    else {
      this.#spend(this.#allowances.control);
      if (this.#state !== 'over') this.#carriesNothing(type, flags, stream, payload);
    }
  }

  #carriesNothing(type: number, flags: number, stream: number, payload: Buffer): void {
    const isAck = (flags & FrameFlag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAck) this.#readSettings(payload);
    else if (type === FrameType.PING && !isAck) this.#outlet.acknowledge(FrameType.PING, payload);
    else if (type === FrameType.WINDOW_UPDATE) this.#widen(stream, numberOf(payload));
    else if (type === FrameType.GOAWAY) {
      // With an error it wants nothing more of what it has asked for.
      if (codeOf(payload) === NGHTTP2_NO_ERROR) this.close();
      else this.#end(NGHTTP2_NO_ERROR);
    }
  }

  #readSettings(payload: Buffer): void {
    const { error, streamWindow } = readSettings(payload, HTTP2_LIMITS.settingsMax);
    if (error === NGHTTP2_NO_ERROR && streamWindow !== null) this.#setStreamWindow(streamWindow);
    if (error !== NGHTTP2_NO_ERROR) this.broken(error);
    else if (this.#state !== 'over') {
      this.#outlet.acknowledge(FrameType.SETTINGS);
      this.#sendWaiting();
    }
  }

  #setStreamWindow(bytes: number): void {
    const more = bytes - this.#streamWindow;
    this.#streamWindow = bytes;
    for (const stream of this.#streams.values()) if (!stream.widen(more)) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
  }

  #widen(stream: number, bytes: number): void {
    const open = this.#streams.get(stream);
    if (this.#numbers.isIdle(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (stream === 0) {
      this.#sendWindow += bytes;
      if (this.#sendWindow > WINDOW_BYTES_MAX) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
      else this.#sendWaiting();
    } else if (open === undefined) return;
    else if (bytes === 0) this.#refuse(open, NGHTTP2_PROTOCOL_ERROR);
    else if (!open.widen(bytes)) this.#refuse(open, NGHTTP2_FLOW_CONTROL_ERROR);
    else this.#sendWaiting();
  }

  #reset(stream: number, code: number): void {
    const open = this.#streams.get(stream);
    if (this.#numbers.isIdle(stream)) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else {
      this.#spend(open === undefined || open.isResponseEnded ? this.#allowances.control : this.#allowances.resets);
      this.#numbers.ended(stream);
      open?.goneWith(code);
    }
  }

  // ── heads ──

  #headers(type: number, flags: number, stream: number, payload: Buffer): void {
    const block = this.#block;
    const code = type === FrameType.HEADERS ? block.begin(stream, flags, payload) : block.goOn(stream, flags, payload);
    if (stream % 2 === 0) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (code !== NGHTTP2_NO_ERROR) this.broken(code);
    else if (block.isWhole) {
      const decoded = block.decode();
      if (decoded === null) this.broken(NGHTTP2_COMPRESSION_ERROR);
      else this.#blockEnded(stream, decoded, block.endsStream);
    }
  }

  #blockEnded(stream: number, decoded: DecodedBlock, ends: boolean): void {
    const open = this.#streams.get(stream);
    if (open !== undefined) this.#trailers(open, decoded, ends);
    else if (this.#numbers.isIdle(stream)) this.#begin(stream, decoded, ends);
    else if (!this.#numbers.mayStillSend(stream)) this.broken(this.#numbers.skipped ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED);
    else if (ends) this.#numbers.ended(stream);
  }

  #trailers(open: ClientStream, { fields, isMalformed, isTooLarge }: DecodedBlock, ends: boolean): void {
    if (open.requestEnded) this.#refuse(open, NGHTTP2_STREAM_CLOSED);
    // Malformed trailers make the whole request malformed (RFC 9113 section 8.1.1).
    else if (!ends || isMalformed || isTooLarge || open.contentLeft > 0 || !areRegular(fields, 0))
      this.#refuse(open, NGHTTP2_PROTOCOL_ERROR);
    else open.endRequest(fields);
  }

  #begin(id: number, block: DecodedBlock, ends: boolean): void {
    const { fields, isTooLarge } = block;
    this.#numbers.opened(id);
    // It was told so.
    if (id > this.#numbers.lastServed) return;
    const judged = judgeBlock(block);
    const length = judged === 'fine' ? contentLengthOf(fields) : -1;
    const upload = ends ? null : new UploadWindow(this.#budget, performance.now());
    const method = fields[fields.indexOf(':method') + 1] ?? '';
    const stream = new ClientStream(id, method, this, this.#limits, this.#streamWindow, upload, length);
    this.#streams.set(id, stream);
    if (this.#streams.size > this.#limits.http2StreamsMax) this.#refuse(stream, NGHTTP2_REFUSED_STREAM);
    else if (judged === 'reset' || (ends && length > 0)) this.#refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else if (this.#heldBytes() > HTTP2_LIMITS.sessionBytesMax) this.#refuse(stream, NGHTTP2_ENHANCE_YOUR_CALM);
    else {
      if (judged === 'refuse') this.#spend(this.#allowances.faults);
      const fault = isTooLarge ? 'too large' : judged === 'refuse' ? 'malformed' : null;
      this.#begun.push({ stream, fields, ended: ends, fault });
    }
  }

  /** What lies here for this client. */
  #heldBytes(): number {
    let bytes = this.#outlet.heldBytes;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes;
    return bytes;
  }

  // ── bodies ──

  dataBegins(stream: number, bytes: number, content: number): void {
    this.#dataStream = null;
    if (this.#state === 'settings' || this.#block.isOpen || stream === 0 || this.#numbers.isIdle(stream)) {
      this.broken(NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    this.#credit -= bytes;
    if (this.#credit < 0) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
    else if (this.#credit < CONNECTION_WINDOW_BYTES / 2) {
      this.#outlet.put(wordFrame(FrameType.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - this.#credit));
      this.#credit = CONNECTION_WINDOW_BYTES;
    }
    const open = this.#streams.get(stream);
    if (open === undefined) this.#dataOfClosed(stream);
    else if (open.requestEnded) this.#refuse(open, NGHTTP2_STREAM_CLOSED);
    else if (!open.comes(bytes)) this.#refuse(open, NGHTTP2_FLOW_CONTROL_ERROR);
    else if (open.contentLeft >= 0 && content > open.contentLeft) this.#refuse(open, NGHTTP2_PROTOCOL_ERROR);
    else {
      if (open.contentLeft >= 0) open.contentLeft -= content;
      if (content > 0) this.#allowances.control.came(content);
      else this.#spend(this.#allowances.control);
      this.#dataStream = open;
    }
  }

  #dataOfClosed(stream: number): void {
    if (this.#numbers.mayStillSend(stream)) return;
    this.sendReset(stream, NGHTTP2_STREAM_CLOSED);
    this.#spend(this.#allowances.faults);
  }

  data(piece: Buffer): void {
    this.#dataStream?.data(ownBytes(piece));
  }

  dataEnds(stream: number, endsStream: boolean): void {
    const open = this.#dataStream;
    this.#dataStream = null;
    if (!endsStream) return;
    if (open === null || !open.isOpen) this.#numbers.ended(stream);
    else if (open.contentLeft > 0) this.#refuse(open, NGHTTP2_PROTOCOL_ERROR);
    else open.endRequest(NO_FIELDS);
  }

  // ── what becomes of it ──

  #spend(allowance: Allowance | ControlFrames): void {
    if (!allowance.spend(() => performance.now())) this.#end(NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /** Resets one stream for what its client did. */
  #refuse(stream: ClientStream, code: number): void {
    stream.reset(code);
    this.#spend(this.#allowances.faults);
  }

  broken(code: number): void {
    this.#end(code);
  }
}
