import { constants } from 'node:http2';
import { caught, type FailureDomain, guardEach } from '../../boundary.ts';
import { type BodyRate, ReadingPace } from '../http1/pace.ts';
import { type Fields, fitsBlock, NO_FIELDS } from './fields.ts';
import { Pieces } from './pieces.ts';
import { canRespond, hasNoContent, responseFields } from './response-fields.ts';
import type { StreamOwner } from './stream-owner.ts';
import type { UploadWindow } from './upload-windows.ts';
import type { StreamWire, WireStream } from './wire.ts';

/**
 * Interim responses beyond it are dropped: frames of headers wait for nobody, so that a client that does not read would have them all
 * kept here.
 */
const INTERIM_BYTES_MAX = 65_536;
/** So many bytes may wait for the client before the application has to wait, too. */
const UNSENT_BYTES_MAX = 16_384;
/** The cost of a piece besides its bytes. */
const PIECE_OVERHEAD_BYTES = 128;
/** The most bytes of one stream at a time, so that each has its turn. */
const TURN_BYTES = 16_384;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR } = constants;

/** A client's connection, as its streams need it. */
export interface ResponseWire extends StreamWire {
  /** Those that have a body that waits: `sendTurn` follows. */
  readonly turns: { add(stream: ClientStream): void };
  /** END_STREAM was sent. */
  responseEnded(stream: ClientStream): void;
  /** The stream was reset here, and the client may not know it yet. */
  resetHere(stream: ClientStream): void;
  over(stream: ClientStream): void;
}

/** A client's stream: its request comes in, its response goes out. */
export class ClientStream implements WireStream, FailureDomain {
  static readonly #flush = guardEach<ClientStream, void>((stream) => stream.#flushUnread());
  static readonly #tellClosed = guardEach<ClientStream, number>((stream, code) => stream.#closed(code));
  readonly id: number;
  readonly method: string;
  owner: StreamOwner | null = null;
  /** Called once, when both sides are over. */
  whenClosed: (() => void) | null = null;
  readonly #wire: ResponseWire;
  readonly #reading: ReadingPace;
  // The request:
  requestEnded: boolean;
  /** The length of its body in bytes; -1: it says none. */
  contentLeft: number;
  readonly #upload: UploadWindow | null;
  #unread = Pieces.NONE;
  /** The end of a body of known length, until the client has said that it ends there: a request that goes on is malformed. */
  #last: Buffer | null = null;
  #trailers: Fields = NO_FIELDS;
  #reads = false;
  #flows = false;
  #flushIsDue = false;
  #toldEnded = false;
  // The response:
  #sendWindow: number;
  #unsent = Pieces.NONE;
  #sentBytes = 0;
  #owesDrained = false;
  #interimBytes = 0;
  #responseState: 'head' | 'body' | 'ending' | 'ended' = 'head';
  #responseTrailers: (() => Fields) | null = null;
  #stopsBody = false;
  #isOver = false;
  #toldClosed = false;

  constructor(
    id: number,
    method: string,
    wire: ResponseWire,
    rate: BodyRate,
    sendWindow: number,
    upload: UploadWindow | null,
    length: number,
  ) {
    this.id = id;
    this.method = method;
    this.#wire = wire;
    this.#reading = new ReadingPace(rate);
    this.#sendWindow = sendWindow;
    this.#upload = upload;
    this.requestEnded = upload === null;
    this.contentLeft = length;
  }

  get where(): 'visit' {
    return 'visit';
  }

  fail(): void {
    this.owner?.fail();
  }

  /** Something can be said on it. */
  get isOpen(): boolean {
    return !this.#isOver;
  }

  get isResponseEnded(): boolean {
    return this.#responseState === 'ended';
  }

  /** Bytes in both directions that lie here. */
  get heldBytes(): number {
    return this.#unread.bytes + (this.#last?.length ?? 0) + this.#unsent.bytes;
  }

  // ── the request, by its owner ──

  /** Bytes that have come and were not read. */
  get unreadBytes(): number {
    return this.#unread.bytes;
  }

  /** From now on the owner gets the client's bytes. */
  read(): void {
    this.#reads = true;
    this.resume();
  }

  pause(): void {
    this.#flows = false;
  }

  /** Also for bytes that nobody reads: they are dropped. */
  resume(): void {
    this.#flows = true;
    if (this.#flushIsDue || (this.#unread.bytes === 0 && !this.requestEnded)) return;
    this.#flushIsDue = true;
    process.nextTick(ClientStream.#flush, this);
  }

  /** The owner has passed on what it got: the client may send more. */
  taken(): void {
    if (this.#upload === null || this.requestEnded || this.#isOver) return;
    const bytes = this.#upload.renew(this.#unread.bytes, performance.now());
    if (bytes > 0) this.#wire.sendWindow(this.id, bytes);
  }

  #flushUnread(): void {
    this.#flushIsDue = false;
    while (this.#flows && this.#unread.bytes > 0 && !this.#isOver) this.#pass(this.#unread.shift() as Buffer);
    this.#endIfRead();
  }

  #pass(piece: Buffer): void {
    const { owner } = this;
    if (!this.#reads || owner === null) return;
    try {
      owner.data(piece);
      if (owner.keepsBody !== true) this.taken();
    } catch (error) {
      caught(this, error);
    }
  }

  #endIfRead(): void {
    if (!this.requestEnded || this.#unread.bytes > 0 || !this.#flows || this.#toldEnded || this.#isOver) return;
    this.#toldEnded = true;
    try {
      if (this.#reads) this.owner?.ended(this.#trailers);
    } catch (error) {
      caught(this, error);
    }
    this.#closeIfDone();
  }

  // ── the request, by the connection ──

  /** False: it is more than the window lets it send. */
  comes(bytes: number): boolean {
    return this.#upload === null || this.#upload.received(bytes);
  }

  /** A piece of the body, in memory of its own. */
  data(piece: Buffer): void {
    const before = this.#last;
    this.#last = this.contentLeft === 0 ? piece : null;
    if (before !== null) this.#takeIn(before);
    if (this.#last === null) this.#takeIn(piece);
  }

  #takeIn(piece: Buffer): void {
    if (this.#isOver) return;
    if (this.#flows && this.#unread.bytes === 0) {
      this.#pass(piece);
      return;
    }
    this.#unread = this.#unread.with(piece);
    try {
      this.owner?.unread(piece.length + PIECE_OVERHEAD_BYTES);
    } catch (error) {
      caught(this, error);
    }
  }

  endRequest(trailers: Fields): void {
    const last = this.#last;
    this.#last = null;
    if (last !== null) this.#takeIn(last);
    this.requestEnded = true;
    this.#trailers = trailers;
    this.#endIfRead();
    this.#closeIfDone();
  }

  // ── the response ──

  /** The head of a response was said. */
  get hasResponded(): boolean {
    return this.#responseState !== 'head';
  }

  /** The written bytes wait for the client: `drained` follows. */
  get isFull(): boolean {
    return this.#owesDrained;
  }

  /** An interim response. */
  inform(status: number, fields: Fields): void {
    if (this.#isOver || this.hasResponded || status < 100 || status > 199 || status === 101) return;
    this.#interimBytes += fields.reduce((bytes, text) => bytes + text.length, 16);
    if (this.#interimBytes > INTERIM_BYTES_MAX) return;
    this.#wire.sendHeaders(this.id, responseFields(status, fields, false), false);
  }

  /** The head of the response. `hasEnded`: it is the whole of it. `trailers`: asked for after the body. */
  respond(status: number, fields: Fields, hasEnded: boolean, trailers: (() => Fields) | null = null): void {
    if (this.#isOver || this.hasResponded) return;
    if (!canRespond(status, fields)) {
      this.breakOff();
      return;
    }
    const ends = hasEnded || hasNoContent(status);
    this.#wire.sendHeaders(this.id, responseFields(status, fields, true), ends);
    this.#responseState = 'body';
    this.#responseTrailers = trailers;
    if (ends) this.#responseEnded();
  }

  /** False: wait for `drained`. */
  write(bytes: Buffer): boolean {
    if (this.#isOver || this.#responseState !== 'body' || bytes.length === 0) return true;
    if (this.#unsent.bytes === 0) {
      this.#reading.drained();
      const sent = this.#wire.hasRoom ? this.#send(bytes) : 0;
      if (sent === bytes.length) return true;
      this.#keep(bytes.subarray(sent));
    } else this.#keep(bytes);
    if (this.#unsent.bytes >= UNSENT_BYTES_MAX) {
      this.#reading.full(performance.now(), this.#sentBytes);
      this.#owesDrained = true;
    }
    return !this.#owesDrained;
  }

  end(): void {
    if (this.#isOver || this.#responseState !== 'body') return;
    this.#responseState = 'ending';
    this.#endIfSent();
  }

  /** Answered before its request was complete: the rest is not wanted (RFC 9113 section 8.1). */
  stopBody(): void {
    this.#stopsBody = true;
    this.#stopIfEnded();
  }

  /** Sends what it may, up to one turn. Returns whether there is more to send, and it may be sent. */
  sendTurn(): boolean {
    const piece = this.#unsent.first;
    if (piece === undefined || this.#isOver) return false;
    const sent = this.#send(piece.length > TURN_BYTES ? piece.subarray(0, TURN_BYTES) : piece);
    if (sent > 0) this.#unsent.drop(sent);
    if (this.#unsent.bytes === 0) this.#drained();
    return sent > 0 && this.#unsent.bytes > 0;
  }

  /** False: the window would be larger than any may be. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > WINDOW_BYTES_MAX) return false;
    if (bytes > 0 && this.#unsent.bytes > 0) this.#wire.turns.add(this);
    return true;
  }

  /** The client takes what waits for it too slowly, also the rest of a response whose exchange is over. */
  readsTooSlowly(now: number): boolean {
    if (this.#isOver || this.#unsent.bytes === 0) {
      this.#reading.drained();
      return false;
    }
    this.#reading.full(now, this.#sentBytes);
    return this.#reading.leftMs(now, this.#sentBytes) === 0;
  }

  #keep(bytes: Buffer): void {
    this.#unsent = this.#unsent.with(bytes);
    this.#wire.turns.add(this);
  }

  #send(bytes: Buffer): number {
    const sent = this.#wire.sendData(this.id, bytes, this.#sendWindow);
    this.#sendWindow -= sent;
    this.#sentBytes += sent;
    return sent;
  }

  #drained(): void {
    if (this.#responseState === 'ending') this.#endIfSent();
    else if (this.#owesDrained) {
      this.#owesDrained = false;
      try {
        this.owner?.drained();
      } catch (error) {
        caught(this, error);
      }
    }
  }

  #endIfSent(): void {
    if (this.#unsent.bytes > 0) return;
    const trailers = this.#responseTrailers?.() ?? NO_FIELDS;
    if (!fitsBlock(trailers)) {
      this.breakOff();
      return;
    }
    if (trailers.length > 0) this.#wire.sendHeaders(this.id, trailers, true);
    else this.#wire.sendEnd(this.id);
    this.#responseEnded();
  }

  #responseEnded(): void {
    this.#responseState = 'ended';
    this.#wire.responseEnded(this);
    this.#stopIfEnded();
    this.#closeIfDone();
  }

  #stopIfEnded(): void {
    if (!this.#stopsBody || this.#responseState !== 'ended' || this.requestEnded || this.#isOver) return;
    this.#resetHere(NGHTTP2_NO_ERROR);
  }

  // ── ends ──

  /** Resets the stream so that the client can't take what it has for the whole. */
  reset(code: number): void {
    if (!this.#isOver) this.#resetHere(code === NGHTTP2_NO_ERROR ? NGHTTP2_INTERNAL_ERROR : code);
  }

  /** The same, for a stream that can't go on. */
  breakOff(): void {
    this.reset(NGHTTP2_INTERNAL_ERROR);
  }

  /** The client has reset it, or its connection is gone. */
  goneWith(code: number): void {
    this.#over(code);
  }

  #resetHere(code: number): void {
    this.#wire.sendReset(this.id, code);
    this.#wire.resetHere(this);
    this.#over(code);
  }

  #closeIfDone(): void {
    if (this.#isOver || this.#responseState !== 'ended' || !this.requestEnded) return;
    // The rest of the request is being read.
    if (this.#reads && this.#flows && !this.#toldEnded) return;
    this.#over(NGHTTP2_NO_ERROR);
  }

  #over(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#last = null;
    this.#unread.clear();
    this.#unsent.clear();
    this.#upload?.release();
    this.#wire.over(this);
    // Not within the call that ends it.
    process.nextTick(ClientStream.#tellClosed, this, code);
  }

  #closed(code: number): void {
    if (this.#toldClosed) return;
    this.#toldClosed = true;
    this.whenClosed?.();
    this.owner?.closed(code);
  }
}
