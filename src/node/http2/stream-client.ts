import { PullproxyError } from '../../errors.ts';
import type { HttpService } from '../http1/connection.ts';
import { Exchange, type ExchangeClient } from '../http1/exchange.ts';
import type { ForwardedFrom } from '../http1/head/forwarding.ts';
import { errorResponse, type OwnResponse } from '../http1/own-responses.ts';
import { TRAILER_BYTES_MAX } from '../http1/trailers.ts';
import type { ClientStream } from './client-stream.ts';
import { Http2Exchange } from './exchange.ts';
import { type Fields, NO_FIELDS } from './fields.ts';
import { type Http2Request, readHttp2Request } from './request-head.ts';
import { sayOwn } from './response-fields.ts';
import { StreamBody } from './stream-body.ts';
import type { StreamOwner } from './stream-owner.ts';
import type { WindowBudget } from './upload-windows.ts';

/** The parts of its node that an HTTP/2 connection needs. */
export interface Http2Service extends HttpService {
  readonly windows: WindowBudget;
}

/** One HTTP/2 stream: the client's side of one exchange, which goes on in HTTP/1.1. */
export class StreamClient implements ExchangeClient, StreamOwner {
  readonly #stream: ClientStream;
  readonly #service: Http2Service;
  #exchange: Exchange | null = null;
  /** Instead of an exchange, where the application speaks HTTP/2. */
  #http2Exchange: Http2Exchange | null = null;
  #body: StreamBody | null = null;

  constructor(stream: ClientStream, service: Http2Service) {
    this.#stream = stream;
    this.#service = service;
    stream.owner = this;
  }

  /** Whether it keeps the body of a request that has no slot yet. */
  get keepsBody(): boolean {
    return this.#exchange?.isHeld === true;
  }

  get where(): 'visit' {
    return 'visit';
  }

  /** The connection and its other streams go on. */
  fail(): void {
    const visit = this.#exchange ?? this.#http2Exchange;
    if (visit === null || visit.isOver || !this.#stream.isOpen) this.abort();
    else visit.fail();
  }

  /** Begins the exchange. `fields`: the head's names and values, one after the other; `ended`: there is no body. */
  begin(fields: Fields, ended: boolean, from: ForwardedFrom): void {
    // Reset in the same bytes that opened it: an application need not hear of it (CVE-2023-44487, rapid reset).
    if (!this.#stream.isOpen) return;
    let request: Http2Request;
    try {
      request = readHttp2Request(fields, ended, from, this.#service.limits.headBytesMax);
    } catch (error) {
      if (!(error instanceof PullproxyError)) throw error;
      this.refuse(error, from);
      return;
    }
    const route = this.#service.match(request.host, request);
    if (!(route instanceof PullproxyError) && route?.settings.protocol === 'h2c') {
      this.#http2Exchange = new Http2Exchange(this.#stream, request.inFields(), ended, this.#service);
      this.#service.visit(this.#http2Exchange, route);
      return;
    }
    const head = request.inText();
    const body = new StreamBody(head.framing, head.contentLength);
    const exchange = new Exchange(this, this.#service, head, body);
    this.#body = body;
    this.#exchange = exchange;
    this.#stream.read();
    this.#service.visit(exchange, route);
  }

  /** Looked at now and then: a client that reads its response or sends its body too slowly occupies nothing. */
  lookForProgress(now: number): void {
    this.#http2Exchange?.lookForProgress(now);
    if (this.#http2Exchange === null && this.#stream.readsTooSlowly(now)) this.#giveUp();
    else if (this.#exchange?.bodyDueMs(now) === 0) this.#exchange.bodyTooSlow();
  }

  #giveUp(): void {
    this.#exchange?.blame('c', 'client_stalled');
    this.abort();
  }

  // ── for the exchange ──

  /** How long a session keeps what is written it does not say. */
  readonly hasUnsent = true;

  write(bytes: Buffer): boolean {
    return this.#stream.write(bytes);
  }

  say(response: OwnResponse): void {
    sayOwn(this.#stream, response);
  }

  sayContinue(): void {
    this.#stream.inform(100, NO_FIELDS);
  }

  sayProcessing(): void {
    this.#stream.inform(102, NO_FIELDS);
  }

  get heads(): ClientStream {
    return this.#stream;
  }

  /** A client sends as much as the stream's window allows. */
  readonly readsInBulk = true;

  get unreadBytes(): number {
    return this.#stream.unreadBytes;
  }

  end(): void {
    this.#stream.end();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    // Bytes that it kept before it had a slot are passed on now.
    if (!this.keepsBody) this.#stream.taken();
    this.#stream.resume();
  }

  abort(): void {
    this.#stream.breakOff();
  }

  finished(): void {
    const complete = this.#exchange?.requestComplete ?? true;
    this.#exchange = null;
    this.#stream.end();
    if (!complete) this.#stream.stopBody();
    this.#stream.resume();
  }

  /** No request that came by HTTP/2 asks for one. */
  enter(): void {
    this.abort();
  }

  // ── the stream's events ──

  data(piece: Buffer): void {
    if (this.#body !== null) this.#requestData(this.#body.framed(piece));
  }

  ended(trailers: Fields): void {
    const last = this.#body?.end(trailers) ?? null;
    if (last !== null && last.length > TRAILER_BYTES_MAX) this.#exchange?.breakOff('bad_request', 'too many trailers');
    else if (last !== null) this.#requestData(last);
  }

  unread(bytes: number): void {
    this.#exchange?.keptUnread(bytes);
  }

  drained(): void {
    this.#exchange?.clientDrained();
  }

  closed(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.clientGone();
  }

  #requestData(bytes: Buffer): void {
    if (this.#exchange !== null && !this.#exchange.requestComplete) this.#exchange.requestData(bytes);
  }

  /** Instead of `begin`: no request is made of it. */
  refuse(error: PullproxyError, from: ForwardedFrom): void {
    this.#service.turnedAway(error, from);
    sayOwn(this.#stream, errorResponse(error, this.#stream.method, true, false));
    this.#stream.stopBody();
    this.#stream.resume();
  }
}
