import { constants } from 'node:http2';
import type { FailureDomain } from '../../boundary.ts';
import { WINDOW_BYTES } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import { ApplicationStream, type ApplicationStreamOwner, type RequestWire } from './application-stream.ts';
import { CONCURRENCY_FIELD, type Fields, fieldValue, fitsBlock } from './fields.ts';
import { FrameFlag, FrameType, goAwayFrame, wordFrame } from './frames.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import type { WireLimits } from './http2-limits.ts';
import { type Carrier, Outlet } from './outlet.ts';
import { PREFACE } from './preface.ts';
import { Setting, settingsFrame } from './settings.ts';
import { FIRST_WINDOW_BYTES } from './upload-windows.ts';
import { Wire, type WireBounds } from './wire.ts';

/** One exchange at a time: the window of its stream, and the link's, are the narrow places. */
const CONNECTION_WINDOW_BYTES = 2 ** 30;
/** A response's head may be as large as in HTTP/1.1. It was told to push nothing. */
const BOUNDS: WireBounds = {
  fieldsMax: 1_024,
  listBytesMax: 131_072,
  windowBytes: CONNECTION_WINDOW_BYTES,
  settingsMax: 1_024,
  pushMax: 0,
};
const STREAM_ID_MAX = 2 ** 31 - 1;
/** A smaller piece is copied, so that the memory that was read into may be used again. */
const COPIED_BYTES_MAX = 4_096;

const { NGHTTP2_NO_ERROR, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_ENHANCE_YOUR_CALM } = constants;

/** The session's side of it. */
export interface ApplicationWireEvents extends FailureDomain, Carrier {
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
export class ApplicationWire extends Wire<ApplicationStream> implements RequestWire {
  protected override readonly outlet: Outlet;
  readonly #events: ApplicationWireEvents;
  #state: 'open' | 'leaving' | 'broken' = 'open';
  #current: ApplicationStream | null = null;
  #lastId = -1;
  /** Memory that `receive` was given is used beyond the call. */
  #ownership: Ownership = 'borrowed';

  constructor(limits: WireLimits, events: ApplicationWireEvents) {
    super(BOUNDS, limits);
    this.#events = events;
    this.outlet = new Outlet(events, events, () => this.roomCame());
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

  /** Another exchange may begin. */
  get isUsable(): boolean {
    return this.#state === 'open' && this.isSettled && this.#current === null && this.#lastId < STREAM_ID_MAX - 2;
  }

  get current(): ApplicationStream | null {
    return this.#current;
  }

  protected override get isOver(): boolean {
    return this.#state === 'broken';
  }

  receive(bytes: Buffer): Ownership {
    this.#ownership = 'borrowed';
    this.decoder.take(bytes);
    return this.#ownership;
  }

  /** Null: no block is that large. */
  request(fields: Fields, hasBody: boolean, owner: ApplicationStreamOwner): ApplicationStream | null {
    if (!fitsBlock(fields)) return null;
    this.#lastId += 2;
    const method = fields[1] as string;
    const stream = new ApplicationStream(this.#lastId, this, owner, method, hasBody, this.streamWindow);
    this.#current = stream;
    this.sendHeaders(this.#lastId, fields, !hasBody);
    return stream;
  }

  /** There is room again. */
  drained(): void {
    this.roomCame();
  }

  /** Sends now the frames that wait for the end of this turn. */
  flush(): void {
    this.outlet.flush();
  }

  /** Says it and stops: `broken` is not told. */
  end(code: number): void {
    if (this.#state === 'broken') return;
    this.#state = 'broken';
    this.decoder.stop();
    this.outlet.put(goAwayFrame(0, code));
    this.outlet.end();
  }

  broken(code: number): void {
    if (this.#state === 'broken') return;
    this.end(code);
    this.#events.broken();
  }

  // ── for the stream ──

  heard(fields: Fields): void {
    const word = fieldValue(fields, CONCURRENCY_FIELD);
    if (word !== null) this.#events.said(word);
  }

  over(stream: ApplicationStream): void {
    if (this.#current === stream) this.#current = null;
  }

  protected override roomCame(): void {
    this.#current?.drain();
  }

  protected override streamOf(id: number): ApplicationStream | null {
    return this.#current?.id === id ? this.#current : null;
  }

  protected override openStreams(): Iterable<ApplicationStream> {
    return this.#current === null ? [] : [this.#current];
  }

  protected override isIdle(id: number): boolean {
    return id % 2 === 0 || id > this.#lastId;
  }

  protected override mayHaveBlock(id: number): boolean {
    return !this.isIdle(id);
  }

  // ── what comes ──

  /** All that carries no content is counted. A head that does not end the response is, too: interim responses have no other bound. */
  protected override pays(type: number, flags: number, id: number): boolean {
    const endsResponse = type === FrameType.HEADERS && (flags & FrameFlag.END_STREAM) !== 0 && id === this.#current?.id;
    return endsResponse || this.#spend();
  }

  #spend(): boolean {
    if (this.control.spend(() => performance.now())) return true;
    this.broken(NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
  }

  protected override blockCame(id: number, block: DecodedBlock, ends: boolean): void {
    this.streamOf(id)?.headers(block, ends);
  }

  protected override resetCame(id: number, code: number): void {
    this.streamOf(id)?.resetByPeer(code);
  }

  protected override goAwayCame(last: number, code: number): void {
    if (code !== NGHTTP2_NO_ERROR) {
      this.broken(NGHTTP2_NO_ERROR);
      return;
    }
    this.#state = 'leaving';
    const current = this.#current;
    if (current !== null && current.id > last) current.resetByPeer(NGHTTP2_REFUSED_STREAM);
    this.#events.leaving();
  }

  protected override settingsCame(isFirst: boolean, streamsMax: number | null): void {
    if (isFirst || streamsMax !== null) this.#events.settled(streamsMax !== 0);
  }

  protected override dataCame(stream: ApplicationStream | null, _id: number, bytes: number, content: number): boolean {
    if (stream !== null && content > 0) this.control.came(content);
    // One that ends the response is paid for by it.
    else if (!this.#spend()) return false;
    if (stream?.comes(bytes, content) === false) this.broken(NGHTTP2_FLOW_CONTROL_ERROR);
    return true;
  }

  data(piece: Buffer): void {
    const stream = this.dataStream;
    if (stream === null || stream !== this.#current) return;
    const copies = piece.length <= COPIED_BYTES_MAX;
    if (!copies) this.#ownership = 'kept';
    stream.data(copies ? Buffer.from(piece) : piece);
  }

  dataEnds(_id: number, endsStream: boolean): void {
    const stream = this.dataStream;
    this.dataStream = null;
    if (endsStream && stream !== null && stream === this.#current) stream.dataEnds();
  }

  protected override refuse(stream: ApplicationStream, code: number): void {
    stream.breakOff(code);
  }
}
