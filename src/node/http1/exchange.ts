import type { ErrorCode } from '../../errors.ts';
import { Flag, type ResetCodeValue } from '../../link/frames.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import { Tunnel, type TunnelClient, UNWATCHED } from '../clients/tunnel.ts';
import { type ColdStart, serverTiming } from '../matching/cold-start.ts';
import type { Lender } from '../matching/lent-slots.ts';
import type { Visit } from '../matching/visit.ts';
import { causeOf, type FailureCause } from '../visits/retry-policy.ts';
import type { RequestBody } from './body.ts';
import { EventStream, wantsEvents } from './event-stream.ts';
import type { TextHead } from './head/request-head.ts';
import { withFields } from './head/time-limit.ts';
import { HttpVisit, type HttpVisitEvents } from './http-visit.ts';
import type { OwnResponse } from './own-responses.ts';
import { RequestBytes } from './request-bytes.ts';
import { ApplicationResponse, type HeadListener } from './response.ts';

/** The exchange's calls to the node. */
export interface ExchangeEvents extends HttpVisitEvents {
  /** The response to a client that waited for an instance to be started begins. */
  coldStart?(exchange: Visit, lender: Lender, stages: ColdStart): void;
  /** Set while the node leaves: connections end with their current response. */
  readonly draining: boolean;
  /** Header lines of every response that goes by https. */
  readonly httpsLines?: string;
}

/** The connection that the request came on. */
export interface ExchangeClient extends TunnelClient {
  /** The exchange's response is complete: the next request may come, or the connection ends. */
  finished(keepAlive: boolean): void;
  /** Bytes that it keeps for or behind the request that is being served. */
  readonly unreadBytes: number;
  /** How much comes at a time can't be bounded: it is not read while there is no instance. */
  readonly readsInBulk: boolean;
  say(response: OwnResponse): void;
  /** A 100 (Continue). */
  sayContinue(): void;
  /** It is held on. */
  sayProcessing(): void;
  /** Is told the heads of responses, and then gets their content; null: it gets both as HTTP/1.1 writes them. */
  readonly heads: HeadListener | null;
  /** From now on all bytes belong to the tunnel. */
  enter(tunnel: Tunnel): void;
}

/** Body bytes that are read before a slot is there. */
const HELD_BODY_BYTES_MAX = 16_384;

/** One request and its response: between a client's connection and a stream of the instance that serves it. */
export class Exchange extends HttpVisit<TextHead, ExchangeEvents> implements StreamHandler {
  readonly #client: ExchangeClient;
  readonly #body: RequestBody;
  readonly #request: RequestBytes;
  /** The lender of its present or last stream. */
  #response: ApplicationResponse | null = null;
  /** The response has begun before there was an application. */
  #events: EventStream | null = null;
  /** Received from the application and waiting in the client's socket. */
  #undrained = 0;

  constructor(client: ExchangeClient, events: ExchangeEvents, head: TextHead, body: RequestBody) {
    super(head, events);
    this.#client = client;
    this.#body = body;
    this.#request = new RequestBytes(head.bytes);
  }

  /** It has no slot yet: what it is given of its body is kept. */
  get isHeld(): boolean {
    return this.state === 'waiting' && !this.isCollecting;
  }

  override get requestComplete(): boolean {
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
    return this.stream !== null;
  }

  /**
   * How long until the client is too slow; Infinity: nothing of its request is awaited, 0: it is. It does not wait for a 100 (Continue) for
   * ever (RFC 9110 section 10.1.1). Once the response has begun both may talk for as long as they like.
   */
  bodyDueMs(now: number): number {
    return this.pace === null || this.hasBegun ? Number.POSITIVE_INFINITY : Math.max(0, this.pace.leftMs(now));
  }

  // ── the client's side ──

  /** More of the request's body. Returns how many of the bytes were part of it. */
  requestData(chunk: Buffer): number {
    const bytes = this.#body.take(chunk);
    if (bytes < 0) {
      this.breakOff('bad_request', 'malformed chunked body');
      return chunk.length;
    }
    if (bytes === 0) return 0;
    const part = this.#body.passable(chunk, bytes);
    if (part.length === 0) return bytes;
    const keptBytes = this.#request.keptBytes;
    this.#request.add(part, this.state !== 'waiting');
    this.took(part.length);
    if (this.requestComplete) this.pace = null;
    else this.pace?.got(bytes, performance.now());
    if (this.stream !== null) {
      if (!this.stream.write(part)) {
        this.#client.pause();
        this.pace?.pause(performance.now());
      }
    } else if (this.state === 'waiting') {
      const hasRoom = this.keep(this.#request.keptBytes - keptBytes);
      if (this.isCollecting) this.collected(hasRoom);
      else if (!hasRoom || this.bodyBytes > HELD_BODY_BYTES_MAX) this.#client.pause();
    }
    return bytes;
  }

  /** Its connection keeps so many bytes more: of the next requests, or such that could not be left unread. */
  keptUnread(bytes: number): void {
    if (this.state === 'waiting' && !this.keep(bytes)) this.breakOff('queue_full');
  }

  /** The client's connection is gone. */
  clientGone(): void {
    if (this.isOver) return;
    // Counted as nginx does: the client closed before it had its whole response.
    this.answered(499);
    this.sayLeft();
    this.leave();
    this.end('C', 'client_closed');
  }

  clientDrained(): void {
    const bytes = this.#undrained;
    this.#undrained = 0;
    if (bytes > 0) this.stream?.consumed(bytes);
  }

  // ── the visit ──

  protected override collects(saysContinue: boolean): void {
    if (saysContinue) this.#client.sayContinue();
  }

  override signal(): void {
    if (this.#events === null) this.#client.sayProcessing();
  }

  override get takesComments(): boolean {
    return wantsEvents(this.head);
  }

  /** Not before its request is there: a client that sees a response may stop sending. */
  override comment(position: number | null): void {
    if (this.state !== 'waiting') return;
    if (this.#events === null && !this.requestComplete) {
      this.signal();
      return;
    }
    this.#events ??= new EventStream(this.#client, this.addedLines);
    this.#events.comment(position);
  }

  protected override begin(lender: Lender): void {
    this.#response = new ApplicationResponse(this.head, this.#events ?? this.#client.heads);
    this.#response.continueSaid = this.saidContinue;
    const affinityLine = this.affinityLine(lender.instance);
    if (this.cold || this.addedLines !== '' || affinityLine !== '') this.#addLines(this.#response, lender, affinityLine);
    const flags = this.attempt > 1 ? Flag.FRESH : this.head.idempotent ? Flag.NONE : Flag.CAREFUL;
    this.stream = this.open(this, flags, withFields(this.#request.join(), this.#changedFields));
    this.#request.sent();
    if (!this.requestComplete) this.pace = this.newPace(this.bodyBytes === 0 && this.head.mayAwaitContinue);
    this.#client.resume();
  }

  #addLines(response: ApplicationResponse, lender: Lender, more: string): void {
    response.addedLines = () => this.addedLines + more + (this.cold ? this.#tellColdStart(lender) : '');
  }

  /** What has begun has no coding. */
  get #changedFields(): readonly string[] {
    return this.#events === null ? this.timeLeft : [...this.timeLeft, 'accept-encoding', 'identity'];
  }

  protected override get keepsClient(): boolean {
    return this.#events === null && this.head.keepAlive && this.requestComplete && !this.events.draining;
  }

  override stripPrefix(prefix: string): void {
    super.stripPrefix(prefix);
    this.#request.replaceHead(this.head.bytes);
  }

  protected override say(response: OwnResponse): void {
    if (this.#events === null) this.#client.say(response);
    else this.#events.fail(response);
    this.#client.finished(this.keepsClient);
  }

  protected override abort(): void {
    this.#client.abort();
  }

  protected override get isWhole(): boolean {
    return this.#request.isWhole;
  }

  protected override rewind(): number {
    this.pace = null;
    return this.#request.keptBytes + this.#client.unreadBytes;
  }

  // ── the application's side ──

  onData(chunk: Buffer): Ownership {
    const response = this.#response as ApplicationResponse;
    let ownership: Ownership = 'borrowed';
    let rest: Buffer | null = chunk;
    while (rest !== null && this.stream !== null) {
      const before: number = rest.length;
      const closing = !this.head.keepAlive || !this.requestComplete || this.events.draining;
      const out = response.take(rest, closing, this.requestComplete);
      if (out === null) {
        this.#failed('application_bad_answer');
        return 'kept';
      }
      rest = out.rest;
      const used = before - (rest === null ? 0 : rest.length);
      if (response.started) this.began(response.status);
      if (response.started || response.interim) this.#request.drop();
      if (this.#events !== null && this.#events.mismatch !== null) {
        this.#mismatches(this.#events, this.#events.mismatch);
        return 'kept';
      }
      if (out.bytes !== null) this.passed(out.bytes.length);
      if (out.bytes === null || (this.#events ?? this.#client).write(out.bytes)) this.stream?.consumed(used);
      else this.#undrained += used;
      if (this.#client.hasUnsent) ownership = 'kept';
      if (response.state === 'tunnel') ownership = this.#enterTunnel(rest) === 'kept' ? 'kept' : ownership;
      // Bytes after a complete response belong to no request: the application connection must not get another request.
      else if (response.state === 'complete') this.#complete(rest === null);
    }
    return response.keepsBytes ? 'kept' : ownership;
  }

  onEnd(): void {
    if (this.#response?.endsByClose() === true) this.#complete(false);
    else this.#failed('application_broke_off');
  }

  onDrain(): void {
    this.#client.resume();
    this.pace?.resume(performance.now());
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.stream = null;
    if (!this.isOver) this.#failed(causeOf(code), reached, reused);
  }

  #failed(cause: FailureCause & ErrorCode, reached = true, reused = false): void {
    const why = this.streamFailed({ cause, reached, reused });
    if (why !== null) this.breakOff(why);
  }

  protected override get addedLines(): string {
    return this.head.proto === 'https' ? (this.events.httpsLines ?? '') : '';
  }

  /** Its client was promised events. */
  #mismatches(events: EventStream, status: number): void {
    this.leave();
    this.answered(status);
    events.failWith(status);
    this.failed('application_bad_answer');
    this.#client.finished(false);
  }

  #tellColdStart(lender: Lender): string {
    const stages = lender.birth?.stages(this.arrivedAt, performance.now()) ?? null;
    if (stages === null) return '';
    this.events.coldStart?.(this, lender, stages);
    return serverTiming(stages);
  }

  // ── ends ──

  /** The response is complete; `clean`: nothing followed it. */
  #complete(clean: boolean): void {
    const response = this.#response as ApplicationResponse;
    const stream = this.stream as Stream;
    const closes = response.closesClient || !this.requestComplete;
    const keeps = clean && this.requestComplete && response.keepsApplication;
    if (response.said !== null) this.link.said(stream, response.said);
    this.answered(response.status);
    this.responded();
    this.end('-');
    if (keeps) this.link.doneAndKeep(stream);
    else this.link.doneAndClose(stream);
    this.#events?.end();
    this.#client.finished(!closes && this.#events === null);
  }

  #enterTunnel(rest: Buffer | null): Ownership {
    // A tunnel may last for days: it keeps the request only for an access log or traces.
    const visit = this.record === null ? UNWATCHED : this;
    const tunnel = new Tunnel(this.#client, visit, this.link, this.stream as Stream, this.#undrained, this.route);
    this.stream = null;
    this.release();
    this.answered(101);
    // First: from here on the client's end is the tunnel's, whatever goes wrong.
    this.#client.enter(tunnel);
    return rest === null ? 'borrowed' : tunnel.onData(rest);
  }

  protected override release(): void {
    super.release();
    this.#body.release();
    this.#response?.release();
    this.#request.drop();
  }
}
