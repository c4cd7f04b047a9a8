import { constants } from 'node:http2';
import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { ResetCode } from '../../link/frames.ts';
import type { ExchangeEvents } from '../http1/exchange-client.ts';
import { mayAwaitContinue, type RequestHead } from '../http1/head/request-head.ts';
import { errorResponse } from '../http1/own-responses.ts';
import { RequestPace } from '../http1/pace.ts';
import type { Lender } from '../matching/slots.ts';
import { HttpVisit } from '../visits/http-visit.ts';
import { BodyCollection, type RequestBuffers } from '../visits/request-buffers.ts';
import { ApplicationSession, type SessionOwner } from './application-session.ts';
import type { ApplicationStream, ApplicationStreamOwner } from './application-stream.ts';
import { type ClientStream, canRespond } from './client-stream.ts';
import { fieldsOf } from './exchange-fields.ts';
import { type Fields, NO_FIELDS, only, passesInResponse, passesInTrailers } from './fields.ts';
import type { StreamOwner } from './guarded-stream.ts';
import { wireLimits } from './http2-limits.ts';
import { ResponseWriter } from './response-writer.ts';

export type Http2ExchangeEvents = Pick<ExchangeEvents, 'limits' | 'leave' | 'retry' | 'answered'>;

const ATTEMPTS_MAX = 3;
/** A longer body is not kept for another attempt. */
const REPLAY_BYTES_MAX = 32_768;

/** `waiting`: no slot yet. `opening`: the application's first words are awaited, nothing is sent. `passing`: both sides are joined. */
type State = 'waiting' | 'opening' | 'passing' | 'over';

/** One request of HTTP/2 for an application that speaks it, too: passed on as it is. */
export class Http2Exchange extends HttpVisit implements StreamOwner, SessionOwner {
  readonly #client: ClientStream;
  /** The client has said all of its request. */
  #requestEnded: boolean;
  readonly #events: Http2ExchangeEvents;
  #state: State = 'waiting';
  #session: ApplicationSession | null = null;
  #lender: Lender | null = null;
  #request: ApplicationStream | null = null;
  readonly #hasBody: boolean;
  /** The client's bytes are asked for. */
  #reads = false;
  /** What was read of the body; null: too much to say it again. */
  #replay: Buffer[] | null = [];
  #replayBytes = 0;
  #requestTrailers: Fields = NO_FIELDS;
  /** A kept session has failed it: only a new one will do. */
  #fresh = false;
  /** The application has said all of its answer, and with which trailers. */
  #complete = false;
  #trailers: Fields = NO_FIELDS;
  /** A 100 (Continue) was said here: the application's is one too many. */
  #saidContinue = false;

  /** `ended`: the request has no body. */
  constructor(client: ClientStream, head: RequestHead, ended: boolean, events: Http2ExchangeEvents) {
    super(head);
    this.#client = client;
    this.#requestEnded = ended;
    this.#hasBody = !ended;
    this.#events = events;
    client.owner = this;
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  override collectBody(buffers: RequestBuffers, collected: () => void): boolean {
    if (this.#requestEnded || this.#reads || isStream(this.head)) return false;
    this.collecting = BodyCollection.begin(this, buffers, collected);
    if (this.collecting === null) return false;
    this.pace = new RequestPace(this.#events.limits, performance.now(), false);
    this.#reads = true;
    this.#saidContinue = mayAwaitContinue(this.head);
    if (this.#saidContinue) this.#client.inform(100, NO_FIELDS);
    this.#client.read();
    return true;
  }

  stopCollecting(): void {
    this.#collected(false);
  }

  #collect(piece: Buffer, collecting: BodyCollection): void {
    this.pace?.got(piece.length, performance.now());
    // Its own memory: it may be a small part of what was read at a time.
    this.#replay?.push(Buffer.from(piece));
    this.#replayBytes += piece.length;
    this.#collected(collecting.keep(piece.length) && this.#replayBytes < collecting.bytesMax);
  }

  /** `goesOn`: more of the body is awaited. */
  #collected(goesOn: boolean): void {
    const collecting = this.collecting;
    if (collecting === null || goesOn) return;
    this.endCollecting();
    if (!this.#requestEnded) this.#client.pause();
    collecting.finish();
  }

  override serve(lender: Lender): void {
    this.#state = 'opening';
    this.#lender = lender;
    const kept = this.#fresh ? null : ApplicationSession.take(lender.link, this);
    if (kept !== null) {
      this.#session = kept;
      this.record?.connected(0);
      this.#pass(kept);
      return;
    }
    const client = lender.link.tellsClients ? this.head.origin.text : '';
    // An application that has not said its first words by then does not speak HTTP/2.
    const { headTimeoutMs: patienceMs } = this.#events.limits;
    const limits = wireLimits(this.#events.limits);
    this.#session = new ApplicationSession(lender.link, this, { client, tells: this.record !== null, patienceMs, limits });
  }

  override refuse(error: PullproxyError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.endCollecting();
    this.#events.answered(this, error.kind.status);
    const answer = errorResponse(error, this.head.method, true, false);
    this.record?.refused(error, answer.length);
    new ResponseWriter(this.#client, this.head.method).write(answer);
    if (!this.#requestEnded) this.#client.stopBody();
    this.#client.resume();
  }

  override fail(): void {
    const was = this.#state;
    if (was === 'waiting' || was === 'opening') {
      if (was === 'waiting') this.#events.leave(this);
      this.#leaveApplication(false);
      this.refuse(new PullproxyError('internal_error'));
      return;
    }
    this.#over();
    this.#client.breakOff();
    this.record?.end('I', 'internal_error');
  }

  /** Looked at now and then: a client that reads its answer or sends its body too slowly occupies no slot. One that has nothing to read may wait. */
  lookForProgress(now: number): void {
    if (this.#client.readsTooSlowly(now)) {
      this.record?.blame('c', 'client_stalled');
      this.#client.breakOff();
    } else if (this.pace !== null && this.pace.leftMs(now) <= 0) {
      this.record?.blame('c', 'client_stalled');
      this.#refuseWhilePassing('head_timeout', 'the request body came too slowly');
    }
  }

  // ── both sides are there ──

  // It speaks HTTP/2: before that nothing of the request is sent, so that another instance may have it.
  sessionReady(): void {
    this.#lender?.trust?.answered(200);
    if (this.#session !== null) this.#pass(this.#session);
  }

  sessionConnected(microseconds: number): void {
    this.record?.connected(microseconds);
  }

  sessionClosed(): void {
    const session = this.#session;
    if (session !== null) this.#broken(session);
  }

  #pass(session: ApplicationSession): void {
    if (this.#state !== 'opening') return;
    const request = session.request(fieldsOf(this.head), this.#hasBody, this.#answerOwner());
    if (request === null) {
      this.#leaveApplication(false);
      this.refuse(new PullproxyError('bad_request', 'it can not be said in HTTP/2'));
      return;
    }
    this.#state = 'passing';
    this.#request = request;
    if (this.#hasBody) this.#passBody(request);
  }

  /** What was read for an attempt that failed goes first. */
  #passBody(request: ApplicationStream): void {
    if (!this.#requestEnded && !isStream(this.head)) {
      this.pace = new RequestPace(this.#events.limits, performance.now(), mayAwaitContinue(this.head));
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
    if (this.record !== null) this.record.bytesIn += piece.length;
    if (this.collecting !== null) {
      this.#collect(piece, this.collecting);
      return;
    }
    if (this.#session?.reused === true || this.#state !== 'passing') this.#keepForReplay(piece);
    else this.#replay = null;
    const now = performance.now();
    this.pace?.got(piece.length, now);
    if (this.#request?.write(piece) !== false) return;
    this.#client.pause();
    this.pace?.pause(now);
  }

  unread(bytes: number): void {
    if (this.#state !== 'waiting' || this.collecting !== null || this.grow(bytes)) return;
    this.#events.leave(this);
    this.refuse(new PullproxyError('queue_full'));
  }

  ended(trailers: Fields): void {
    this.#requestEnded = true;
    this.pace = null;
    this.#requestTrailers = only(trailers, (name) => passesInTrailers(name, 'request'));
    this.#request?.endWith(this.#requestTrailers);
    this.#collected(false);
  }

  /** An application may close a kept connection at the moment of its reuse. */
  #keepForReplay(piece: Buffer): void {
    this.#replayBytes += piece.length;
    // While no attempt is made the client is paused: no more comes than lies here.
    const isTooMuch = this.#state === 'passing' && (this.#replayBytes > REPLAY_BYTES_MAX || this.#client.hasResponded);
    if (isTooMuch) this.#replay = null;
    else this.#replay?.push(piece);
  }

  drained(): void {
    this.#request?.resume();
  }

  closed(code: number): void {
    if (this.#state === 'waiting') this.#events.leave(this);
    if (this.#state === 'over') return;
    // Counted as for HTTP/1.1: it left before it had an answer.
    if (!this.#client.hasResponded) this.#events.answered(this, 499);
    this.record?.end(this.#complete ? '-' : 'C', this.#complete ? null : 'client_closed');
    this.#request?.reset(code === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : code);
    this.#over();
  }

  // ── the application's side ──

  #answerOwner(): ApplicationStreamOwner {
    const { attempts } = this;
    return {
      informed: (status, fields) => {
        if (status !== 100 || !this.#saidContinue) this.#client.inform(status, only(fields, passesInResponse));
      },
      responded: (status, fields, ends) => this.#responded(status, only(fields, passesInResponse), ends),
      data: (piece) => this.#answerData(piece),
      ended: (trailers) => this.#responseEnded(trailers),
      drained: () => {
        this.#client.resume();
        this.pace?.resume(performance.now());
      },
      closed: (code) => {
        // One of an attempt before says nothing about this one.
        if (attempts === this.attempts) this.#requestClosed(code);
      },
    };
  }

  #responded(status: number, fields: Fields, ends: boolean): void {
    if (this.#state !== 'passing') return;
    if (!canRespond(status, fields)) {
      this.#refuseWhilePassing('application_bad_answer');
      return;
    }
    this.pace = null;
    this.record?.began(status);
    this.#events.answered(this, status);
    // It has no body by its meaning, and Node sends none (RFC 9110 section 15.3.6).
    const bodiless = status === 205;
    const said = bodiless ? only(fields, (name) => name !== 'content-length') : fields;
    const isWhole = ends || bodiless;
    this.#client.respond(status, said, isWhole, isWhole ? null : () => this.#trailers);
    this.#request?.read();
  }

  #answerData(piece: Buffer): void {
    this.record?.passed(piece.length);
    if (!this.#client.write(piece)) this.#request?.pause();
  }

  #responseEnded(trailers: Fields): void {
    this.#complete = true;
    this.#trailers = only(trailers, (name) => passesInTrailers(name, 'response'));
    this.#client.end();
  }

  /** The application's stream is over: after the whole answer, or it was reset. So it is for the client. */
  #requestClosed(code: number): void {
    if (this.#state !== 'passing') return;
    const session = this.#session;
    const isRefused = code === constants.NGHTTP2_REFUSED_STREAM && session?.reused === true;
    if (session !== null && !this.#complete && (isRefused || this.#isSilent(code))) {
      this.#leaveApplication(false);
      if (isRefused) session.reached = false;
      this.#broken(session);
      return;
    }
    this.record?.end(this.#complete ? '-' : 'S', this.#complete ? null : 'application_broke_off');
    this.#over(this.#complete && this.#requestEnded && code === constants.NGHTTP2_NO_ERROR);
    if (!this.#complete) this.#client.reset(code);
    else if (!this.#requestEnded) this.#client.stopBody();
  }

  /** It closed the stream without a word. */
  #isSilent(code: number): boolean {
    return !this.#client.hasResponded && code === constants.NGHTTP2_NO_ERROR;
  }

  // ── ends ──

  /** The application's connection is gone before its answer was complete. */
  #broken(session: ApplicationSession): void {
    const isLinkLost = session.verdict === ResetCode.LINK_LOST;
    this.#leaveApplication(false);
    if (this.#state === 'opening' || (this.#state === 'passing' && !this.#client.hasResponded)) {
      if (this.attempts < ATTEMPTS_MAX && (this.#state === 'opening' || this.#mayBeSentAgain(session))) {
        this.#again();
        return;
      }
      if (isLinkLost) this.record?.blame('D', 'link_lost');
      this.refuse(new PullproxyError(session.verdict === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off'));
    } else if (this.#state === 'passing') {
      this.record?.end(isLinkLost ? 'D' : 'S', isLinkLost ? 'link_lost' : 'application_broke_off');
      this.#over();
      this.#client.breakOff();
    }
  }

  #again(): void {
    this.#fresh = true;
    this.#request = null;
    this.pace = null;
    this.#state = 'waiting';
    if (this.#hasBody && !this.#requestEnded) this.#client.pause();
    this.heldBytes = this.head.bytes.length + this.#replayBytes + this.#client.unreadBytes;
    this.#events.retry(this);
  }

  /** RFC 9110 section 9.2.2, and RFC 9113 section 8.7: what a kept connection did not get may be said again whatever it is. */
  #mayBeSentAgain(session: ApplicationSession): boolean {
    const isWhole = !this.#hasBody || this.#replay !== null;
    return session.reused && isWhole && (!session.reached || this.head.idempotent);
  }

  #refuseWhilePassing(code: ErrorCode, reason?: string): void {
    this.pace = null;
    this.#request?.reset(constants.NGHTTP2_CANCEL);
    this.#leaveApplication(false);
    this.refuse(new PullproxyError(code, reason));
  }

  #over(clean = false): void {
    this.#state = 'over';
    this.endCollecting();
    this.#leaveApplication(clean);
  }

  #leaveApplication(clean: boolean): void {
    const session = this.#session;
    this.#session = null;
    session?.release(clean);
  }
}

/** Of gRPC's messages each is sent when there is one: that is no body, and it has no rate. Its deadline is its own. */
function isStream({ bytes }: RequestHead): boolean {
  return /\r\ncontent-type:\s*application\/grpc/i.test(bytes.toString('latin1'));
}
