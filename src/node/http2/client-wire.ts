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
import { areRegular, NO_FIELDS } from './fields.ts';
import { FrameType, goAwayFrame, wordFrame } from './frames.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import { HTTP2_LIMITS, wireLimits } from './http2-limits.ts';
import { Outlet, SocketCarrier } from './outlet.ts';
import { PrefaceReader } from './preface.ts';
import { contentLengthOf, judgeBlock, type OpenedRequest } from './request-fields.ts';
import { Setting, settingsFrame } from './settings.ts';
import { StreamNumbers } from './stream-numbers.ts';
import { Turns } from './turns.ts';
import { FIRST_WINDOW_BYTES, UploadWindow, type WindowBudget } from './upload-windows.ts';
import { Wire, type WireBounds } from './wire.ts';

/** Bytes are taken out of the window at once: it only has to fill the line. */
const CONNECTION_WINDOW_BYTES = 32 * 1_048_576;
/** The overhead of each field, with which RFC 9113 section 6.5.2 counts a head. */
const FIELD_OVERHEAD_BYTES = 32;
/** The most fields of a head, pieces of cookies included. */
const FIELDS_MAX = HEADERS_MAX + HTTP2_LIMITS.cookieCrumbsMax;

const {
  NGHTTP2_NO_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_STREAM_CLOSED,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_CANCEL,
  NGHTTP2_ENHANCE_YOUR_CALM,
} = constants;

/**
 * Our side of a client's connection: the server of RFC 9113. Each fault ends its stream, or the connection where the RFC says so; and what
 * a client does is counted relative to what it is served, not over the connection's life.
 */
export class ClientWire extends Wire<ClientStream> implements ResponseWire {
  protected override readonly outlet: Outlet;
  readonly #socket: Socket;
  readonly #limits: ClientLimits;
  readonly #budget: WindowBudget;
  readonly #opened: (request: OpenedRequest) => void;
  readonly #preface = new PrefaceReader();
  readonly #allowances: ClientAllowances;
  readonly #streams = new Map<number, ClientStream>();
  readonly turns = new Turns();
  readonly #numbers = new StreamNumbers();
  /** Requests that have begun in what is being read. */
  #begun: OpenedRequest[] = [];
  #state: 'preface' | 'open' | 'leaving' | 'over' = 'preface';

  constructor(
    socket: Socket,
    limits: ClientLimits,
    budget: WindowBudget,
    connection: FailureDomain,
    opened: (request: OpenedRequest) => void,
  ) {
    const bounds = boundsFor(limits);
    super(bounds, wireLimits(limits));
    this.#socket = socket;
    this.#limits = limits;
    this.#budget = budget;
    this.#opened = opened;
    this.#allowances = new ClientAllowances(limits, performance.now());
    const drained = guard(connection, () => this.roomCame());
    this.outlet = new Outlet(new SocketCarrier(socket), connection, drained);
    socket.on('drain', drained);
    this.outlet.put(
      settingsFrame([
        [Setting.MAX_CONCURRENT_STREAMS, limits.http2StreamsMax],
        [Setting.MAX_HEADER_LIST_SIZE, bounds.listBytesMax],
      ]),
    );
    this.outlet.put(wordFrame(FrameType.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES));
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

  protected override get isOver(): boolean {
    return this.#state === 'over';
  }

  /** No more requests are served; those that are there are, and then the connection ends. */
  close(): void {
    if (this.isLeaving) return;
    this.#state = 'leaving';
    this.#numbers.lastServed = this.#numbers.last;
    this.outlet.put(goAwayFrame(this.#numbers.last, NGHTTP2_NO_ERROR));
    this.#endIfIdle();
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#stop();
    this.#socket.destroy();
  }

  /** Once: what follows is not looked at. */
  broken(code: number): void {
    if (this.#state === 'over') return;
    this.outlet.put(goAwayFrame(this.#numbers.last, code));
    this.#stop();
    this.#endOutlet();
  }

  #stop(): void {
    this.#state = 'over';
    this.decoder.stop();
    this.#begun = [];
    for (const stream of [...this.#streams.values()]) stream.goneWith(NGHTTP2_CANCEL);
  }

  #endIfIdle(): void {
    if (this.#state !== 'leaving' || this.#streams.size > 0) return;
    this.#stop();
    this.#endOutlet();
  }

  #endOutlet(): void {
    this.outlet.end();
    this.#socket.destroySoon();
  }

  // ── for its streams ──

  responseEnded(): void {
    this.#allowances.answered();
    // Nothing else can leave with it: its client need not wait for what is done about its end here.
    if (this.#streams.size === 1) this.outlet.flush();
  }

  resetHere({ id, requestEnded }: ClientStream): void {
    if (!requestEnded) this.#numbers.wasReset(id);
  }

  over(stream: ClientStream): void {
    this.#streams.delete(stream.id);
    this.turns.delete(stream);
    this.#endIfIdle();
  }

  protected override roomCame(): void {
    this.turns.take(() => this.hasRoom && this.mayData);
  }

  protected override streamOf(id: number): ClientStream | null {
    return this.#streams.get(id) ?? null;
  }

  protected override openStreams(): Iterable<ClientStream> {
    return this.#streams.values();
  }

  protected override isIdle(id: number): boolean {
    return this.#numbers.isIdle(id);
  }

  protected override mayHaveBlock(id: number): boolean {
    return id % 2 === 1;
  }

  // ── what comes ──

  #take(bytes: Buffer): void {
    if (this.#state === 'over') return;
    const from = this.#state === 'preface' ? this.#takePreface(bytes) : 0;
    this.decoder.take(from === 0 ? bytes : bytes.subarray(from));
    const begun = this.#begun;
    if (begun.length === 0) return;
    // A stream that is reset in the bytes that opened it is never begun (CVE-2023-44487, rapid reset).
    this.#begun = [];
    for (const request of begun) if (request.stream.isOpen) this.#opened(request);
  }

  #takePreface(bytes: Buffer): number {
    const length = this.#preface.take(bytes);
    if (length === -1) this.broken(NGHTTP2_PROTOCOL_ERROR);
    else if (this.#preface.isWhole) this.#state = 'open';
    return Math.max(0, length);
  }

  /** Heads are paid for by what is wrong with them, and resets on their own account. */
  protected override pays(type: number): boolean {
    if (type !== FrameType.HEADERS && type !== FrameType.CONTINUATION && type !== FrameType.RST_STREAM) this.#spend(this.control);
    return this.#state !== 'over';
  }

  protected override goAwayCame(_last: number, code: number): void {
    // With an error it wants nothing more of what it has asked for.
    if (code === NGHTTP2_NO_ERROR) this.close();
    else this.broken(NGHTTP2_NO_ERROR);
  }

  protected override settingsCame(): void {}

  protected override resetCame(id: number, code: number): void {
    const stream = this.streamOf(id);
    this.#spend(stream === null || stream.isResponseEnded ? this.control : this.#allowances.resets);
    this.#numbers.ended(id);
    stream?.goneWith(code);
  }

  // ── heads ──

  protected override blockCame(id: number, block: DecodedBlock, ends: boolean): void {
    const stream = this.streamOf(id);
    if (stream !== null) this.#trailers(stream, block, ends);
    else if (this.#numbers.isIdle(id)) this.#begin(id, block, ends);
    else if (!this.#numbers.mayStillSend(id)) this.broken(this.#numbers.skipped ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED);
    else if (ends) this.#numbers.ended(id);
  }

  #trailers(stream: ClientStream, { fields, isMalformed, isTooLarge }: DecodedBlock, ends: boolean): void {
    if (stream.requestEnded) this.refuse(stream, NGHTTP2_STREAM_CLOSED);
    // Malformed trailers make the whole request malformed (RFC 9113 section 8.1.1).
    else if (!ends || isMalformed || isTooLarge || stream.contentLeft > 0 || !areRegular(fields, 0))
      this.refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else stream.endRequest(fields);
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
    const stream = new ClientStream(id, method, this, this.#limits, this.streamWindow, upload, length);
    this.#streams.set(id, stream);
    if (this.#streams.size > this.#limits.http2StreamsMax) this.refuse(stream, NGHTTP2_REFUSED_STREAM);
    else if (judged === 'reset' || (ends && length > 0)) this.refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else if (this.#heldBytes() > HTTP2_LIMITS.sessionBytesMax) this.refuse(stream, NGHTTP2_ENHANCE_YOUR_CALM);
    else {
      if (judged === 'refuse') this.#spend(this.#allowances.faults);
      const fault = isTooLarge ? 'too large' : judged === 'refuse' ? 'malformed' : null;
      this.#begun.push({ stream, fields, ended: ends, fault });
    }
  }

  /** The bytes that lie here for this client. */
  #heldBytes(): number {
    let bytes = this.outlet.heldBytes;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes;
    return bytes;
  }

  // ── bodies ──

  protected override dataCame(stream: ClientStream | null, id: number, bytes: number, content: number): boolean {
    if (stream === null) this.#dataOfClosed(id);
    else if (stream.requestEnded) this.refuse(stream, NGHTTP2_STREAM_CLOSED);
    else if (!stream.comes(bytes)) this.refuse(stream, NGHTTP2_FLOW_CONTROL_ERROR);
    else if (stream.contentLeft >= 0 && content > stream.contentLeft) this.refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else {
      if (stream.contentLeft >= 0) stream.contentLeft -= content;
      if (content > 0) this.control.came(content);
      else this.#spend(this.control);
      return true;
    }
    return false;
  }

  #dataOfClosed(id: number): void {
    if (this.#numbers.mayStillSend(id)) return;
    this.sendReset(id, NGHTTP2_STREAM_CLOSED);
    this.#spend(this.#allowances.faults);
  }

  data(piece: Buffer): void {
    this.dataStream?.data(ownBytes(piece));
  }

  dataEnds(id: number, endsStream: boolean): void {
    const stream = this.dataStream;
    this.dataStream = null;
    if (!endsStream) return;
    if (stream === null || !stream.isOpen) this.#numbers.ended(id);
    else if (stream.contentLeft > 0) this.refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    else stream.endRequest(NO_FIELDS);
  }

  // ── what becomes of it ──

  #spend(allowance: Allowance | ControlFrames): void {
    if (!allowance.spend(() => performance.now())) this.broken(NGHTTP2_ENHANCE_YOUR_CALM);
  }

  protected override refuse(stream: ClientStream, code: number): void {
    stream.reset(code);
    this.#spend(this.#allowances.faults);
  }
}

function boundsFor({ headBytesMax }: ClientLimits): WireBounds {
  const listBytesMax = headBytesMax + FIELDS_MAX * FIELD_OVERHEAD_BYTES;
  const { settingsMax } = HTTP2_LIMITS;
  return { fieldsMax: FIELDS_MAX, listBytesMax, windowBytes: CONNECTION_WINDOW_BYTES, settingsMax, pushMax: 1 };
}
