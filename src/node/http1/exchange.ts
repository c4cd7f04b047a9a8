import { performance } from 'node:perf_hooks';
import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import { Tunnel } from '../clients/tunnel.ts';
import type { Lender } from '../matching/slots.ts';
import { serverTiming } from '../visits/cold-start.ts';
import { HttpVisit } from '../visits/http-visit.ts';
import { BodyCollection, type RequestBuffers } from '../visits/request-buffers.ts';
import type { EndedBy, EndReason } from '../visits/visit-record.ts';
import { Body } from './body.ts';
import type { ExchangeClient, ExchangeEvents } from './exchange-client.ts';
import type { Parser } from './head/llhttp.ts';
import { mayAwaitContinue, type RequestHead } from './head/request-head.ts';
import { errorResponse } from './own-responses.ts';
import { RequestPace } from './pace.ts';
import { RequestBytes } from './request-bytes.ts';
import { ApplicationResponse } from './response.ts';

/** Body bytes that are read before a slot is there. */
const HELD_BODY_BYTES_MAX = 16_384;
const ATTEMPTS_MAX = 3;
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');

/** `waiting`: no stream yet. `open`: it has one. `over`: answered, refused, gone, or a tunnel by now. */
type State = 'waiting' | 'open' | 'over';

/** One request and its one answer: between a client's connection and a stream of whatever instance serves it. */
export class Exchange extends HttpVisit implements StreamHandler {
  readonly #client: ExchangeClient;
  readonly #events: ExchangeEvents;
  readonly #body: Body;
  readonly #request: RequestBytes;
  /** Of the stream that it has or had last. */
  #answer: ApplicationResponse | null = null;
  #state: State = 'waiting';
  #lender: Lender | null = null;
  #stream: Stream | null = null;
  #fresh = false;
  /** Received from the application and waiting in the client's socket. */
  #undrained = 0;
  #hasCollected = false;
  /** A 100 (Continue) was said here: the application's is one too many. */
  #saidContinue = false;

  constructor(client: ExchangeClient, events: ExchangeEvents, head: RequestHead, parser: Parser) {
    super(head);
    this.#client = client;
    this.#events = events;
    this.#body = new Body(head.framing, head.contentLength, parser);
    this.#request = new RequestBytes(head.bytes);
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  /** It has no slot yet: what it is given of its body is kept. */
  get isHeld(): boolean {
    return this.#state === 'waiting' && this.collecting === null;
  }

  get requestComplete(): boolean {
    return this.#body.complete;
  }

  override beginWaiting(): boolean {
    if (this.requestComplete) return false;
    if (this.#client.readsInBulk) this.#client.pause();
    return !this.#client.readsInBulk;
  }

  override stopReading(): void {
    this.#client.pause();
  }

  /** It has an instance that takes its body. */
  get isServed(): boolean {
    return this.#state === 'open';
  }

  /** The client has seen a part of the answer. */
  get responseBegan(): boolean {
    return this.#answer?.started === true;
  }

  /**
   * How long until the client is too slow; Infinity: nothing of its request is awaited, 0: it is. It does not wait for a 100 (Continue) for
   * ever (RFC 9110 section 10.1.1). Once the answer has begun both may talk for as long as they like.
   */
  bodyDueMs(now: number): number {
    return this.pace === null || this.responseBegan ? Number.POSITIVE_INFINITY : Math.max(0, this.pace.leftMs(now));
  }

  // ── the client's side ──

  /** More of the request's body. Returns how many of the bytes were part of it. */
  requestData(chunk: Buffer): number {
    const bytes = this.#body.take(chunk);
    if (bytes < 0) {
      this.#breakOff('bad_request', 'malformed chunked body');
      return chunk.length;
    }
    if (bytes === 0) return 0;
    const part = this.#body.passable(chunk, bytes);
    if (part.length === 0) return bytes;
    const keptBytes = this.#request.keptBytes;
    this.#request.add(part, this.#state !== 'waiting');
    if (this.requestComplete) this.pace = null;
    else this.pace?.got(bytes, performance.now());
    if (this.#stream !== null) {
      if (!this.#stream.write(part)) {
        this.#client.pause();
        this.pace?.pause(performance.now());
      }
    } else if (this.collecting !== null) {
      this.#collected(this.#keep(this.#request.keptBytes - keptBytes));
    } else if (this.#state === 'waiting') {
      const hasRoom = this.grow(this.#request.keptBytes - keptBytes);
      if (!hasRoom || this.#request.total - this.head.bytes.length > HELD_BODY_BYTES_MAX) this.#client.pause();
    }
    return bytes;
  }

  /** Its connection keeps so many bytes more: of the next requests, or such that could not be left unread. */
  keptUnread(bytes: number): void {
    if (this.#state === 'waiting' && !this.#keep(bytes)) this.#breakOff('queue_full');
  }

  /** The client's connection is gone. */
  clientGone(): void {
    if (this.#state === 'over') return;
    // Counted as nginx does: the client closed before it had its whole answer.
    this.#events.answered(this, 499);
    this.#note('C', 'client_closed');
    this.#leave();
    this.#end();
  }

  clientDrained(): void {
    const bytes = this.#undrained;
    this.#undrained = 0;
    if (bytes > 0) this.#stream?.consumed(bytes);
  }

  bodyTooSlow(): void {
    this.record?.blame('c', 'client_stalled');
    this.#breakOff('head_timeout', 'the request body came too slowly');
  }

  // ── the visit ──

  override collectBody(buffers: RequestBuffers, collected: () => void): boolean {
    if (this.requestComplete || this.#hasCollected || this.#bodyBytes >= buffers.bytesMax) return false;
    this.collecting = BodyCollection.begin(this, buffers, collected);
    if (this.collecting === null) return false;
    this.pace = this.#newPace(false);
    this.#hasCollected = true;
    this.#saidContinue = this.#bodyBytes === 0 && mayAwaitContinue(this.head);
    if (this.#saidContinue) this.#client.write(CONTINUE);
    return true;
  }

  stopCollecting(): void {
    this.#collected(false);
  }

  /** `hasRoom`: more of the body may be awaited. */
  #collected(hasRoom: boolean): void {
    const collecting = this.collecting;
    if (collecting === null || (hasRoom && !this.requestComplete && this.#bodyBytes < collecting.bytesMax)) return;
    this.endCollecting();
    collecting.finish();
  }

  #keep(bytes: number): boolean {
    return this.collecting === null ? this.grow(bytes) : this.collecting.keep(bytes);
  }

  #newPace(awaitsContinue: boolean): RequestPace {
    return new RequestPace(this.#events.limits, performance.now(), awaitsContinue);
  }

  get #bodyBytes(): number {
    return this.#request.total - this.head.bytes.length;
  }

  override serve(lender: Lender): void {
    this.#state = 'open';
    this.#answer = new ApplicationResponse(this.head);
    this.#answer.continueSaid = this.#saidContinue;
    if (this.cold) this.#answer.addedLines = () => this.#httpsLines + this.#tellColdStart(lender);
    else if (this.#httpsLines !== '') this.#answer.addedLines = () => this.#httpsLines;
    this.#lender = lender;
    const flags = this.#fresh ? Flag.FRESH : this.head.idempotent ? Flag.NONE : Flag.CAREFUL;
    const tell = this.record === null ? Flag.NONE : Flag.TELL;
    const client = lender.link.tellsClients ? this.head.origin.text : '';
    this.#stream = lender.link.open(this, flags | tell, this.#request.join(), client);
    this.#request.sent();
    if (!this.requestComplete) this.pace = this.#newPace(this.#bodyBytes === 0 && mayAwaitContinue(this.head));
    this.#client.resume();
  }

  override refuse(error: PullproxyError): void {
    if (this.#state === 'over') return;
    const keepAlive = this.head.keepAlive && this.requestComplete && !this.#events.draining;
    this.#end();
    this.#events.answered(this, error.kind.status);
    const answer = errorResponse(error, this.head.method, keepAlive, this.head.http10, this.#httpsLines);
    if (this.record !== null) this.record.bytesIn = this.#request.total;
    this.record?.refused(error, answer.length);
    this.#client.write(answer);
    this.#client.finished(keepAlive);
  }

  /** Also within `refuse`, or within the end itself: then the answer is not to be trusted. */
  override fail(): void {
    if (this.#state === 'over') {
      this.#client.abort();
      return;
    }
    try {
      this.#breakOff('internal_error');
    } catch (error) {
      this.#client.abort();
      throw error;
    }
  }

  // ── the application's side ──

  onData(chunk: Buffer): boolean {
    const answer = this.#answer as ApplicationResponse;
    let keeps = false;
    let rest: Buffer | null = chunk;
    while (rest !== null && this.#state === 'open') {
      const before: number = rest.length;
      const closing = !this.head.keepAlive || !this.requestComplete || this.#events.draining;
      const out = answer.take(rest, closing, this.requestComplete);
      if (out === null) {
        this.#breakOff('application_bad_answer');
        return true;
      }
      rest = out.rest;
      const used = before - (rest === null ? 0 : rest.length);
      if (answer.started && this.#lender?.trust?.state !== 'proven') this.#lender?.trust?.answered(answer.status);
      if (answer.started || answer.interim) this.#request.drop();
      if (this.record !== null) this.#noteAnswer(answer, out.bytes);
      if (out.bytes === null) this.#stream?.consumed(used);
      else if (this.#client.write(out.bytes)) this.#stream?.consumed(used);
      else this.#undrained += used;
      keeps ||= this.#client.hasUnsent;
      if (answer.state === 'tunnel') keeps = this.#enterTunnel(rest) || keeps;
      // Bytes after a complete answer are nobody's: the application connection is not to be trusted with another request.
      else if (answer.state === 'complete') this.#complete(rest === null);
    }
    return keeps || answer.keepsBytes;
  }

  onEnd(): void {
    if (this.#answer?.endsByClose() === true) {
      this.#complete(false);
    } else if (this.#mayServeElsewhere()) {
      this.#lender?.trust?.failed();
      this.#leave();
      this.#retry();
    } else {
      if (!this.responseBegan) this.#lender?.trust?.failed();
      this.#breakOff('application_broke_off');
    }
  }

  onConnected(microseconds: number): void {
    this.record?.connected(microseconds);
  }

  onDrain(): void {
    this.#client.resume();
    this.pace?.resume(performance.now());
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.#stream = null;
    if (this.#state === 'over') return;
    const harmless = !reached || (this.head.idempotent && (reused || code === ResetCode.LINK_LOST));
    const elsewhere = this.#mayServeElsewhere();
    // What a broken link says nothing about.
    if (code !== ResetCode.LINK_LOST && !reused && !this.responseBegan) this.#lender?.trust?.failed();
    if (elsewhere || (harmless && this.#request.isWhole && this.attempts < ATTEMPTS_MAX)) {
      this.#retry();
      return;
    }
    if (code === ResetCode.LINK_LOST) this.record?.blame('D', 'link_lost');
    this.#breakOff(code === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off');
  }

  #retry(): void {
    this.#state = 'waiting';
    this.pace = null;
    this.#fresh = true;
    this.heldBytes = this.#request.keptBytes + this.#client.unreadBytes;
    this.#events.retry(this);
  }

  /** What an instance that has never answered does to a request says nothing about the request: RFC 9110 section 9.2.2 lets it go out again. */
  #mayServeElsewhere(): boolean {
    const lender = this.#lender;
    const unproven = lender?.trust !== undefined && lender.trust.state !== 'proven';
    if (!unproven || this.route?.hasOther(lender.instance) !== true) return false;
    return this.head.idempotent && !this.responseBegan && this.#request.isWhole && this.attempts < ATTEMPTS_MAX;
  }

  get #httpsLines(): string {
    return this.head.proto === 'https' ? (this.#events.httpsLines ?? '') : '';
  }

  #tellColdStart(lender: Lender): string {
    const stages = lender.birth?.stages(this.arrivedAt, performance.now()) ?? null;
    if (stages === null) return '';
    this.#events.coldStart?.(this, lender, stages);
    return serverTiming(stages);
  }

  // ── ends ──

  /** The answer is complete; `clean`: nothing followed it. */
  #complete(clean: boolean): void {
    const answer = this.#answer as ApplicationResponse;
    const stream = this.#stream as Stream;
    const { link } = this.#lender as Lender;
    const closes = answer.closesClient || !this.requestComplete;
    const keeps = clean && this.requestComplete && answer.keepsApplication;
    this.#end();
    this.#events.answered(this, answer.status);
    this.#note('-');
    if (keeps) link.doneAndKeep(stream);
    else link.doneAndClose(stream);
    this.#client.finished(!closes);
  }

  #enterTunnel(rest: Buffer | null): boolean {
    const tunnel = new Tunnel(this.#client, (this.#lender as Lender).link, this.#stream as Stream, this.#undrained, this.record);
    if (this.record !== null) this.record.bytesIn = this.#request.total;
    this.#end();
    this.#events.answered(this, 101);
    const keeps = rest !== null && tunnel.onData(rest);
    this.#client.enter(tunnel);
    return keeps;
  }

  /** It can't go on: the client is told so, or sees a broken connection when it has a part of the answer already. */
  #breakOff(code: ErrorCode, reason?: string): void {
    this.#leave();
    if (this.responseBegan) {
      this.#note(code === 'application_broke_off' ? 'S' : 'P', code);
      this.#end();
      this.#client.abort();
    } else {
      this.refuse(new PullproxyError(code, reason));
    }
  }

  /** Gives up its place in the queue or its stream. */
  #leave(): void {
    if (this.#stream !== null) this.#lender?.link.reset(this.#stream, ResetCode.CANCEL);
    else if (this.#state === 'waiting') this.#events.leave(this);
    this.#stream = null;
  }

  #note(by: EndedBy, reason: EndReason | null = null): void {
    if (this.record === null) return;
    this.record.bytesIn = this.#request.total;
    this.record.end(by, reason);
  }

  #noteAnswer({ started, status }: ApplicationResponse, bytes: Buffer | null): void {
    if (bytes !== null && this.record !== null) this.record.bytesOut += bytes.length;
    if (started) this.record?.began(status);
  }

  #end(): void {
    this.#state = 'over';
    this.endCollecting();
    this.#stream = null;
    this.#body.release();
    this.#answer?.release();
    this.#request.drop();
  }
}
