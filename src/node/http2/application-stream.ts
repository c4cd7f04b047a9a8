import { constants } from 'node:http2';
import { WINDOW_BYTES } from '../../link/stream.ts';
import { areRegular, type Fields, fitsBlock, NO_FIELDS } from './fields.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import { Pieces } from './pieces.ts';
import type { StreamWire, WireStream } from './wire.ts';

const WINDOW_BYTES_MAX = 2 ** 31 - 1;
const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_STREAM_CLOSED } = constants;
/** No HTTP/2 response has it: for a head that can't be understood. */
const NO_STATUS = 0;

export interface ApplicationStreamOwner {
  /** An interim response. */
  informed(status: number, fields: Fields): void;
  /** `ends`: the head is the whole response. A status below 200: the application's head is malformed. */
  responseHead(status: number, fields: Fields, ends: boolean): void;
  responseData(piece: Buffer): void;
  /** The response is complete. A reset is no end. */
  responseEnded(trailers: Fields): void;
  /** After `write` returned false. */
  requestDrained(): void;
  /** Once: the stream was reset, or both sides have ended. Not when the session is gone before the response was complete. */
  requestClosed(request: ApplicationStream, code: number): void;
}

/** An application's connection, as its stream needs it. */
export interface RequestWire extends StreamWire {
  /** A header block of the response: it may say something about the application's limit. */
  heard(fields: Fields): void;
  /** The stream is over for both sides. */
  over(stream: ApplicationStream): void;
}

type ResponseState = 'head' | 'body' | 'ended';

/** A request to an application that speaks HTTP/2, and its response. */
export class ApplicationStream implements WireStream {
  readonly id: number;
  readonly #wire: RequestWire;
  readonly #owner: ApplicationStreamOwner;
  readonly #isHead: boolean;
  // The request:
  #sendWindow: number;
  #unsent = Pieces.NONE;
  #owesDrained = false;
  #requestState: 'open' | 'ending' | 'ended';
  #requestTrailers: Fields = NO_FIELDS;
  // The response:
  #responseState: ResponseState = 'head';
  /** The length of its body in bytes; -1: it says none. */
  #contentLeft = -1;
  /** The bytes that the application may still send. */
  #credit = WINDOW_BYTES;
  /** Passed on, and not given back. */
  #untold = 0;
  /** Content that waits until the owner reads. */
  #unread = Pieces.NONE;
  #reads = false;
  #toldEnded = false;
  #responseTrailers: Fields = NO_FIELDS;
  /** By which the application has reset it after its response; -1: it has not. */
  #closeCode = -1;
  #isOver = false;

  constructor(id: number, wire: RequestWire, owner: ApplicationStreamOwner, method: string, hasBody: boolean, sendWindow: number) {
    this.id = id;
    this.#wire = wire;
    this.#owner = owner;
    this.#isHead = method === 'HEAD';
    this.#requestState = hasBody ? 'open' : 'ended';
    this.#sendWindow = sendWindow;
  }

  /** The application has said all of its response. */
  get isAnswered(): boolean {
    return this.#responseState === 'ended';
  }

  // ── the request ──

  /** False: wait for `drained`. */
  write(piece: Buffer): boolean {
    if (this.#isOver || this.#requestState !== 'open') return true;
    const sent = this.#unsent.bytes === 0 && this.#wire.hasRoom ? this.#sendPart(piece) : 0;
    if (sent < piece.length) this.#unsent = this.#unsent.with(sent === 0 ? piece : piece.subarray(sent));
    this.#owesDrained = this.#unsent.bytes > 0 || !this.#wire.hasRoom;
    return !this.#owesDrained;
  }

  /** The request is complete. */
  endWith(trailers: Fields): void {
    if (this.#isOver || this.#requestState !== 'open') return;
    this.#requestState = 'ending';
    this.#requestTrailers = trailers;
    this.#send();
  }

  /** There may be room again. */
  drain(): void {
    if (this.#isOver || !this.#wire.hasRoom) return;
    this.#send();
    if (!this.#owesDrained || this.#unsent.bytes > 0 || !this.#wire.hasRoom) return;
    this.#owesDrained = false;
    this.#owner.requestDrained();
  }

  /** False: the window would be larger than any may be. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    return this.#sendWindow <= WINDOW_BYTES_MAX;
  }

  #send(): void {
    for (let piece = this.#unsent.first; piece !== undefined && this.#wire.hasRoom; piece = this.#unsent.first) {
      const sent = this.#sendPart(piece);
      if (sent > 0) this.#unsent.drop(sent);
      if (sent < piece.length) return;
    }
    if (this.#requestState !== 'ending' || this.#unsent.bytes > 0) return;
    this.#requestState = 'ended';
    const trailers = this.#requestTrailers;
    if (trailers.length > 0 && fitsBlock(trailers)) this.#wire.sendHeaders(this.id, trailers, true);
    else this.#wire.sendEnd(this.id);
    this.#closeIfDone();
  }

  #sendPart(piece: Buffer): number {
    const sent = this.#wire.sendData(this.id, piece, this.#sendWindow);
    this.#sendWindow -= sent;
    return sent;
  }

  // ── the response ──

  /** From now on, again, the owner gets the content. */
  read(): void {
    if (this.#reads) return;
    this.#reads = true;
    while (this.#unread.bytes > 0 && this.#reads && !this.#isOver) this.#pass(this.#unread.shift() as Buffer);
    this.#endIfRead();
  }

  resume(): void {
    this.read();
  }

  pause(): void {
    this.#reads = false;
  }

  /** A header block came. */
  headers({ fields, isMalformed, isTooLarge }: DecodedBlock, ends: boolean): void {
    if (!isMalformed && !isTooLarge) this.#wire.heard(fields);
    if (this.#responseState === 'ended') this.breakOff(NGHTTP2_STREAM_CLOSED);
    else if (this.#responseState === 'head') {
      const status = isMalformed || isTooLarge ? NO_STATUS : statusOf(fields);
      if (status === NO_STATUS || (status < 200 && ends)) this.#malformed();
      else if (status < 200) this.#owner.informed(status, fields);
      else this.#begin(status, fields, ends);
    } else if (!ends || isMalformed || isTooLarge || !isInPlace(fields, 0)) this.breakOff(NGHTTP2_PROTOCOL_ERROR);
    else this.#complete(fields);
  }

  #malformed(): void {
    this.#responseState = 'ended';
    this.#owner.responseHead(NO_STATUS, NO_FIELDS, true);
  }

  #begin(status: number, fields: Fields, ends: boolean): void {
    const length = lengthOf(fields);
    const hasNoBody = this.#isHead || status === 204 || status === 304;
    this.#responseState = 'body';
    this.#contentLeft = hasNoBody ? 0 : (length ?? -1);
    if (length === null || (ends && this.#contentLeft > 0)) {
      this.#malformed();
      return;
    }
    this.#owner.responseHead(status, fields, ends);
    if (ends && !this.#isOver) this.#complete(NO_FIELDS);
  }

  /** A DATA frame begins. False: it is beyond the window. */
  comes(bytes: number, content: number): boolean {
    this.#credit -= bytes;
    if (this.#credit < 0) return false;
    this.#took(bytes - content);
    if (this.#responseState !== 'body') this.breakOff(this.#responseState === 'head' ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED);
    else if (this.#contentLeft >= 0 && content > this.#contentLeft) this.breakOff(NGHTTP2_PROTOCOL_ERROR);
    else if (this.#contentLeft >= 0) this.#contentLeft -= content;
    return true;
  }

  data(piece: Buffer): void {
    if (this.#reads && this.#unread.bytes === 0) this.#pass(piece);
    else this.#unread = this.#unread.with(piece);
  }

  dataEnds(): void {
    this.#complete(NO_FIELDS);
  }

  #complete(trailers: Fields): void {
    if (this.#contentLeft > 0) {
      this.breakOff(NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    this.#responseState = 'ended';
    this.#responseTrailers = trailers;
    this.#endIfRead();
  }

  #pass(piece: Buffer): void {
    this.#owner.responseData(piece);
    this.#took(piece.length);
  }

  #took(bytes: number): void {
    this.#untold += bytes;
    if (this.#untold < WINDOW_BYTES / 2 || this.#isOver || this.#responseState === 'ended') return;
    this.#credit += this.#untold;
    this.#wire.sendWindow(this.id, this.#untold);
    this.#untold = 0;
  }

  #endIfRead(): void {
    if (this.#isOver || !this.#reads || this.#unread.bytes > 0 || this.#responseState !== 'ended' || this.#toldEnded) return;
    this.#toldEnded = true;
    this.#owner.responseEnded(this.#responseTrailers);
    this.#closeIfDone();
  }

  // ── ends ──

  resetByPeer(code: number): void {
    if (this.#responseState === 'ended' && !this.#toldEnded) this.#closeCode = code;
    else this.#close(code);
  }

  /** The connection is gone; the response was complete before. */
  connectionGone(): void {
    this.resetByPeer(NGHTTP2_NO_ERROR);
  }

  /** It can't go on: both sides hear of it. */
  breakOff(code: number): void {
    if (this.#isOver) return;
    this.#wire.sendReset(this.id, code);
    this.#close(code);
  }

  /** Gives it up. Its owner hears nothing more. */
  reset(code: number): void {
    if (this.#isOver) return;
    this.#wire.sendReset(this.id, code);
    this.forget();
  }

  /** Nothing is said or heard any more. */
  forget(): void {
    this.#isOver = true;
    this.#unread.clear();
    this.#unsent.clear();
    this.#wire.over(this);
  }

  #closeIfDone(): void {
    if (!this.#toldEnded || this.#isOver) return;
    if (this.#closeCode !== -1) this.#close(this.#closeCode);
    else if (this.#requestState === 'ended') this.#close(NGHTTP2_NO_ERROR);
  }

  #close(code: number): void {
    if (this.#isOver) return;
    this.forget();
    this.#owner.requestClosed(this, code);
  }
}

/** The status in a response's head (RFC 9113 section 8.3.2); NO_STATUS: the head is malformed. */
function statusOf(fields: Fields): number {
  const status = fields[1] ?? '';
  return fields[0] === ':status' && /^[1-9]\d\d$/.test(status) && status !== '101' && isInPlace(fields, 2) ? Number(status) : NO_STATUS;
}

/** From `first` on there is nothing that belongs to another protocol, or before. */
function isInPlace(fields: Fields, first: number): boolean {
  for (let i = first; i < fields.length; i += 2) {
    if (fields[i] === 'te' && fields[i + 1] !== 'trailers') return false;
  }
  return areRegular(fields, first);
}

/** The length that a head says; -1: none; null: it can't be understood. */
function lengthOf(fields: Fields): number | null {
  let length = -1;
  for (let i = 2; i < fields.length; i += 2) {
    if (fields[i] !== 'content-length') continue;
    if (length !== -1 || !/^\d{1,15}$/.test(fields[i + 1] as string)) return null;
    length = Number(fields[i + 1]);
  }
  return length;
}
