import { constants } from 'node:http2';
import { Flag } from '../../link/frames.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import { HttpVisit, type HttpVisitEvents } from '../http1/http-visit.ts';
import { fieldsOf, type OwnResponse } from '../http1/own-responses.ts';
import type { Lender } from '../matching/lent-slots.ts';
import type { RequestBuffers } from '../matching/request-buffers.ts';
import { causeOf } from '../visits/retry-policy.ts';
import { ApplicationSession, type SessionOwner } from './application-session.ts';
import type { ApplicationStream, ApplicationStreamOwner } from './application-stream.ts';
import type { ClientStream } from './client-stream.ts';
import { type Fields, NO_FIELDS, only, passesInTrailers } from './fields.ts';
import { wireLimits } from './http2-limits.ts';
import type { FieldsHead } from './request-head.ts';
import { canRespond, sayOwn } from './response-fields.ts';
import type { StreamOwner } from './stream-owner.ts';

/** A longer body is not kept for another attempt. */
const REPLAY_BYTES_MAX = 32_768;

const GRPC_FAILURES: ReadonlySet<string> = new Set(['2', '13', '14', '15']);

/** One request of HTTP/2 for an application that speaks it, too: passed on as it is. */
export class Http2Exchange extends HttpVisit<FieldsHead> implements StreamOwner, SessionOwner, ApplicationStreamOwner {
  readonly #client: ClientStream;
  /** The client has said all of its request. */
  #requestEnded: boolean;
  #session: ApplicationSession | null = null;
  /** Those that are added to the response. */
  #addedFields: Fields = NO_FIELDS;
  /** Null: the application's first words are awaited, nothing is sent. */
  #request: ApplicationStream | null = null;
  readonly #hasBody: boolean;
  /** The client's bytes are asked for. */
  #reads = false;
  /** The part of the body that was read; null: it is too much to send it again. */
  #replay: Buffer[] | null = [];
  #replayBytes = 0;
  #requestTrailers: Fields = NO_FIELDS;
  /** The application has said all of its response, and with which trailers. */
  #complete = false;
  #trailers: Fields = NO_FIELDS;

  /** `ended`: the request has no body. */
  constructor(client: ClientStream, head: FieldsHead, ended: boolean, events: HttpVisitEvents) {
    super(head, events);
    this.#client = client;
    this.#requestEnded = ended;
    this.#hasBody = !ended;
    client.owner = this;
  }

  override get requestComplete(): boolean {
    return this.#requestEnded;
  }

  override collectBody(buffers: RequestBuffers, collected: () => void): boolean {
    // A gRPC client sends a message when it has one: a least rate makes no sense there. A call has its own deadline.
    return !this.head.isGrpc && super.collectBody(buffers, collected);
  }

  protected override collects(saysContinue: boolean): void {
    if (saysContinue) this.#client.inform(100, NO_FIELDS);
    this.#reads = true;
    this.#client.read();
  }

  override signal(): void {
    this.#client.inform(102, NO_FIELDS);
  }

  #collect(piece: Buffer): void {
    this.pace?.got(piece.length, performance.now());
    // Its own memory: it may be a small part of what was read at a time.
    this.#replay?.push(Buffer.from(piece));
    this.#replayBytes += piece.length;
    this.collected(this.keep(piece.length));
  }

  override stopCollecting(): void {
    if (!this.#requestEnded) this.#client.pause();
    super.stopCollecting();
  }

  protected override begin(lender: Lender): void {
    const line = this.affinityLine(lender.instance);
    this.#addedFields = line === '' ? NO_FIELDS : fieldsOf(line);
    // A kept session may have failed it: only a new one will do then.
    const kept = this.attempt > 1 ? null : ApplicationSession.take(lender.link, this);
    if (kept === null) {
      this.#session = new ApplicationSession(lender.link, this, this.events.limits.headTimeoutMs, wireLimits(this.events.limits));
      return;
    }
    this.#session = kept;
    this.onConnected(0);
    this.#pass(kept);
  }

  openStream(handler: StreamHandler, opening: Buffer): Stream {
    return this.open(handler, Flag.FRESH, opening);
  }

  protected override readonly keepsClient = true;

  protected override say(response: OwnResponse): void {
    sayOwn(this.#client, response);
    if (!this.#requestEnded) this.#client.stopBody();
    this.#client.resume();
  }

  protected override abort(): void {
    this.#client.breakOff();
  }

  /** Looked at now and then: a client that reads its response or sends its body too slowly occupies no slot. One that has nothing to read may wait. */
  lookForProgress(now: number): void {
    if (this.#client.readsTooSlowly(now)) {
      this.blame('c', 'client_stalled');
      this.#client.breakOff();
    } else if (this.pace !== null && this.pace.leftMs(now) <= 0) {
      this.bodyTooSlow();
    }
  }

  // ── both sides are there ──

  // It speaks HTTP/2: before that nothing of the request is sent, so that another instance may have it.
  sessionReady(): void {
    if (this.#session !== null) this.#pass(this.#session);
  }

  sessionClosed(): void {
    if (this.#session !== null) this.#broken(this.#session);
  }

  #pass(session: ApplicationSession): void {
    if (this.#request !== null) return;
    this.#request = session.request(this.head.fieldsWith(this.timeLeft), this.#hasBody, this);
    if (this.#request === null) this.breakOff('bad_request', 'it can not be said in HTTP/2');
    else if (this.#hasBody) this.#passBody(this.#request);
  }

  /** Bytes that were read for a failed attempt go first. */
  #passBody(request: ApplicationStream): void {
    if (!this.#requestEnded && !this.head.isGrpc) {
      this.pace = this.newPace(this.head.mayAwaitContinue);
    }
    if (!this.#reads) {
      this.#reads = true;
      this.#client.read();
      return;
    }
    let hasRoom = true;
    for (const piece of this.#replay ?? []) hasRoom = request.write(piece);
    if (this.#requestEnded) request.endWith(this.#requestTrailers);
    else if (hasRoom) this.#client.resume();
  }

  // ── the client's side ──

  data(piece: Buffer): void {
    this.took(piece.length);
    if (this.isCollecting) {
      this.#collect(piece);
      return;
    }
    if (this.#session?.reused === true || this.#request === null) this.#keepForReplay(piece);
    else this.#replay = null;
    const now = performance.now();
    this.pace?.got(piece.length, now);
    if (this.#request?.write(piece) !== false) return;
    this.#client.pause();
    this.pace?.pause(now);
  }

  unread(bytes: number): void {
    if (this.state === 'waiting' && !this.isCollecting && !this.grow(bytes)) this.breakOff('queue_full');
  }

  ended(trailers: Fields): void {
    this.#requestEnded = true;
    this.pace = null;
    this.#requestTrailers = only(trailers, (name) => passesInTrailers(name, 'request'));
    this.#request?.endWith(this.#requestTrailers);
    if (this.isCollecting) this.collected(false);
  }

  /** An application may close a kept connection at the moment of its reuse. */
  #keepForReplay(piece: Buffer): void {
    this.#replayBytes += piece.length;
    // While no attempt is made the client is paused: no more comes than lies here.
    const isTooMuch = this.#request !== null && (this.#replayBytes > REPLAY_BYTES_MAX || this.hasBegun);
    if (isTooMuch) this.#replay = null;
    else this.#replay?.push(piece);
  }

  drained(): void {
    this.#request?.resume();
  }

  closed(code: number): void {
    if (this.isOver) return;
    // Counted as for HTTP/1.1: it left before it had a response.
    if (!this.hasBegun) this.answered(499);
    this.sayLeft();
    this.leave(code === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : code);
    if (this.#complete) {
      this.responded();
      this.end('-');
    } else this.end('C', 'client_closed');
  }

  // ── the application's side ──

  informed(status: number, fields: Fields): void {
    if (status !== 100 || !this.saidContinue) this.#client.inform(status, fields);
  }

  requestDrained(): void {
    this.#client.resume();
    this.pace?.resume(performance.now());
  }

  responseHead(status: number, said: Fields, ends: boolean): void {
    if (this.state !== 'open') return;
    const fields = this.#addedFields.length === 0 ? said : [...said, ...this.#addedFields];
    if (!canRespond(status, fields)) {
      this.#failed('application_bad_answer');
      return;
    }
    this.pace = null;
    this.began(status, ends ? judgedStatus(status, fields) : status);
    this.answered(status);
    this.#client.respond(status, fields, ends, ends ? null : () => this.#trailers);
    this.#request?.read();
  }

  responseData(piece: Buffer): void {
    this.passed(piece.length);
    if (!this.#client.write(piece)) this.#request?.pause();
  }

  responseEnded(trailers: Fields): void {
    this.#complete = true;
    this.#trailers = only(trailers, (name) => passesInTrailers(name, 'response'));
    this.#client.end();
  }

  /** The application's stream is over: after the whole response, or it was reset. So it is for the client. */
  requestClosed(request: ApplicationStream, code: number): void {
    const session = this.#session;
    // One of an attempt before says nothing about this one.
    if (this.#request !== request || session === null) return;
    if (this.#complete) {
      const isClean = this.#requestEnded && code === constants.NGHTTP2_NO_ERROR;
      this.#leaveApplication(isClean);
      this.responded();
      this.end('-');
      if (!this.#requestEnded) this.#client.stopBody();
      return;
    }
    const isUnseen = code === constants.NGHTTP2_REFUSED_STREAM && session.reused;
    // Without a word, or with one for us: the client is given a response. What else an application says by a reset is meant for its client.
    const isSilent = code === constants.NGHTTP2_NO_ERROR && !this.hasBegun;
    if (isUnseen || isSilent) this.#broken(session, !isUnseen);
    else this.#failed('application_broke_off', code);
  }

  // ── ends ──

  /** The application's connection is gone before its response was complete. */
  #broken(session: ApplicationSession, reached = session.reached): void {
    const wasSent = this.#request !== null;
    this.#leaveApplication(false);
    const why = this.streamFailed({ cause: causeOf(session.verdict), reached: wasSent && reached, reused: session.reused });
    if (why !== null) this.breakOff(why);
  }

  /** Its response is none, or its stream was reset with `code`: of that its client is told as it was said. */
  #failed(cause: 'application_bad_answer' | 'application_broke_off', code?: number): void {
    const why = this.streamFailed({ cause, reached: true, reused: false });
    if (why === null) return;
    if (code === undefined) {
      this.breakOff(why);
      return;
    }
    this.leave();
    this.failed(why);
    this.#client.reset(code);
  }

  // RFC 9110 section 9.2.2, and RFC 9113 section 8.7: what a kept connection did not get may be said again whatever it is.
  protected override get isWhole(): boolean {
    return !this.#hasBody || this.#replay !== null;
  }

  protected override rewind(): number {
    this.pace = null;
    if (this.#hasBody && !this.#requestEnded) this.#client.pause();
    return this.head.byteLength + this.#replayBytes + this.#client.unreadBytes;
  }

  protected override release(): void {
    super.release();
    this.#replay = null;
  }

  protected override takeBack(): void {
    this.#session?.takeBack();
  }

  /** `code`: what the application is told. */
  protected override leave(code: number = constants.NGHTTP2_CANCEL): void {
    super.leave();
    this.#request?.reset(code);
    this.#leaveApplication(false);
  }

  /** `clean`: nothing of the exchange is left in the session. */
  #leaveApplication(clean: boolean): void {
    const session = this.#session;
    this.#session = null;
    this.#request = null;
    session?.release(clean);
  }
}

/** The codes of a response without messages (UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS): a gRPC server that fails every call says so here, with status 200 before. */
function judgedStatus(status: number, fields: Fields): number {
  const at = fields.findIndex((text, i) => i % 2 === 0 && text === 'grpc-status');
  return at !== -1 && GRPC_FAILURES.has(fields[at + 1] ?? '') ? 500 : status;
}
