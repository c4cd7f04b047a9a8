import { constants, type ServerHttp2Stream } from 'node:http2';
import { guard } from '../../boundary.ts';
import { type BodyRate, ReadingPace } from '../http1/pace.ts';
import { type Fields, fitsBlock, headersOf } from './fields.ts';
import { GuardedStream, type StreamOwner } from './guarded-stream.ts';

/**
 * Interim answers beyond it are dropped: frames of headers wait for nobody, so that a client that does not read would have them all
 * kept here.
 */
const INTERIM_BYTES_MAX = 65_536;
const { HTTP2_HEADER_STATUS, NGHTTP2_NO_ERROR } = constants;

/** Whether HTTP/2 can say an answer's head at all. Node takes no other status, and nghttp2 no larger block. */
export function canRespond(status: number, fields: Fields): boolean {
  return status >= 200 && status <= 599 && fitsBlock(fields);
}

/** A client's stream: its request comes in, its answer goes out. */
export class ClientStream extends GuardedStream<ServerHttp2Stream> {
  #interimBytes = 0;
  #trailersSaid = true;
  #whenTrailersSaid: (() => void) | null = null;

  /** Bytes of the answer's body that were sent: as many as the client's windows have let through. */
  sentBytes: () => number = () => 0;
  readonly #reading: ReadingPace;

  constructor(stream: ServerHttp2Stream, owner: StreamOwner, rate: BodyRate) {
    super(stream, owner, false);
    this.#reading = new ReadingPace(rate);
  }

  override write(bytes: Buffer): boolean {
    // All that was written before has gone.
    if (this.stream.writableLength === 0) this.#reading.drained();
    const hasRoom = super.write(bytes);
    if (!hasRoom) this.#reading.full(performance.now(), this.sentBytes());
    return hasRoom;
  }

  /** The client takes what waits for it too slowly, also the rest of an answer whose exchange is over. */
  readsTooSlowly(now: number): boolean {
    if (this.stream.destroyed || this.stream.writableLength === 0) {
      this.#reading.drained();
      return false;
    }
    const sent = this.sentBytes();
    this.#reading.full(now, sent);
    return this.#reading.leftMs(now, sent) === 0;
  }

  /** The head of an answer was said. */
  get hasResponded(): boolean {
    return this.stream.headersSent;
  }

  /** An interim answer. */
  inform(status: number, fields: Fields): void {
    if (!this.isOpen || this.stream.headersSent || status < 100 || status > 199 || status === 101) return;
    this.#interimBytes += fields.reduce((bytes, text) => bytes + text.length, 16);
    if (this.#interimBytes > INTERIM_BYTES_MAX) return;
    this.attempt(() => this.stream.additionalHeaders(headersOf([HTTP2_HEADER_STATUS, String(status), ...fields])));
  }

  /** The head of the answer. `ends`: it is the whole of it. `trailers`: asked for after the body. */
  respond(status: number, fields: Fields, ends: boolean, trailers: (() => Fields) | null = null): void {
    if (!this.isOpen || this.stream.headersSent) return;
    if (!canRespond(status, fields)) {
      this.breakOff();
      return;
    }
    if (trailers !== null) {
      this.#trailersSaid = false;
      const wanted = guard(this.domain, () => this.#sayTrailers(trailers()));
      this.stream.once('wantTrailers', wanted);
    }
    const headers = headersOf([HTTP2_HEADER_STATUS, String(status), ...fields]);
    this.attempt(() => this.stream.respond(headers, { endStream: ends, waitForTrailers: trailers !== null }));
  }

  /** Calls `said` once, when everything up to the last trailer is on its way. */
  #whenSaid(said: () => void): void {
    if (!this.#trailersSaid) this.#whenTrailersSaid = said;
    else if (this.stream.writableFinished) said();
    else this.stream.once('finish', said);
  }

  /** Answered before its request was complete: the rest is not wanted (RFC 9113 section 8.1). */
  stopBody(): void {
    this.#whenSaid(() => this.attempt(() => this.stream.close(NGHTTP2_NO_ERROR)));
  }

  #sayTrailers(fields: Fields): void {
    if (!this.isOpen) return;
    if (!fitsBlock(fields)) {
      this.breakOff();
      return;
    }
    this.attempt(() => this.stream.sendTrailers(headersOf(fields)));
    this.#trailersSaid = true;
    // A reset would overtake them in this turn.
    if (this.#whenTrailersSaid !== null) setImmediate(this.#whenTrailersSaid);
  }
}
