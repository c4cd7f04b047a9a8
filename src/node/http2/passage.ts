import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { guard } from '../../boundary.ts';
import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import { errorAnswer } from '../http1/answers.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { isNavigation } from '../http1/waiting-page.ts';
import type { Lender } from '../slots.ts';
import { Visit } from '../visit.ts';
import { factsOf, type VisitFacts } from '../visit-record.ts';
import { AnswerWriter } from './answer-writer.ts';
import { LinkDuplex } from './link-duplex.ts';
import { fieldsOf, passableFields } from './passage-fields.ts';

export interface PassageEvents {
  /** An application that has not said its first words by then does not speak HTTP/2. */
  readonly headTimeoutMs: number;
  leave(visit: Visit): void;
  retry(visit: Visit): void;
  answered(visit: Visit, status: number): void;
}

const ATTEMPTS_MAX = 3;
const EMPTY = Buffer.alloc(0);

/** `waiting`: no slot yet. `opening`: the application's first words are awaited, nothing is sent. `passing`: both sides are joined. */
type State = 'waiting' | 'opening' | 'passing' | 'over';

/** One request of HTTP/2 for an application that speaks it, too: passed on as it is, by a connection of its own. */
export class Passage extends Visit {
  readonly head: RequestHead;
  readonly #client: ServerHttp2Stream;
  readonly #ended: boolean;
  readonly #events: PassageEvents;
  #state: State = 'waiting';
  #session: ClientHttp2Session | null = null;
  #request: ClientHttp2Stream | null = null;
  #verdict: ErrorCode = 'application_broke_off';
  #linkLost = false;
  /** The answer's last word is on its way. */
  #said = false;
  #whenSaid: (() => void) | null = null;
  #moved = false;

  /** `ended`: the request has no body. */
  constructor(client: ServerHttp2Stream, head: RequestHead, ended: boolean, events: PassageEvents) {
    super(performance.now());
    this.head = head;
    this.#client = client;
    this.#ended = ended;
    this.#events = events;
    this.heldBytes = head.bytes.length;
    const closed = guard(this, () => this.#clientGone());
    client.once('close', closed);
    client.on('drain', () => {
      this.#moved = true;
    });
  }

  override get takesPage(): boolean {
    return isNavigation(this.head);
  }

  override get facts(): VisitFacts {
    return factsOf(this.head);
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  override serve(lender: Lender): void {
    this.#state = 'opening';
    const duplex = new LinkDuplex(
      lender.link,
      (code) => this.#wasReset(code),
      (microseconds) => this.record?.connected(microseconds),
    );
    const client = lender.link.tellsClients ? this.head.origin.text : '';
    duplex.attach(lender.link.open(duplex, this.record === null ? Flag.FRESH : Flag.FRESH | Flag.TELL, EMPTY, client));
    const session = connect(`http://${this.head.host}`, { createConnection: () => duplex });
    this.#session = session;
    // 'close' follows.
    session.on('error', () => {});
    // It speaks HTTP/2: before that nothing of the request is sent, so that another instance may have it.
    const giveUp = guard(this, () => session.destroy());
    const patience = setTimeout(giveUp, this.#events.headTimeoutMs);
    const settled = guard(this, () => {
      clearTimeout(patience);
      lender.trust?.answered(200);
      this.#pass(session);
    });
    const closed = guard(this, () => {
      clearTimeout(patience);
      if (this.#session === session) this.#broken();
    });
    session.once('remoteSettings', settled);
    session.once('close', closed);
  }

  override refuse(error: PullproxyError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#events.answered(this, error.kind.status);
    const answer = errorAnswer(error, this.head.method, true, false);
    this.record?.refused(error, answer.length);
    if (this.#client.destroyed) return;
    const writer = new AnswerWriter(this.#client, this.head.method, this);
    writer.write(answer);
    if (!this.#client.readableEnded) writer.whenSaid(guard(this, () => this.#client.close(constants.NGHTTP2_NO_ERROR)));
    this.#client.resume();
  }

  override fail(): void {
    const was = this.#state;
    if (was === 'waiting' || was === 'opening') {
      if (was === 'waiting') this.#events.leave(this);
      this.#leaveApplication();
      this.refuse(new PullproxyError('internal_error'));
      return;
    }
    this.#over();
    this.#client.destroy(new Error('an internal error'));
    this.record?.end('I', 'internal_error');
  }

  /** Looked at now and then: a client that does not read its answer occupies no slot. One that has nothing to read may wait. */
  lookForProgress(): void {
    const moved = this.#moved;
    this.#moved = false;
    if (moved || !this.#client.writableNeedDrain) return;
    this.record?.blame('c', 'client_stalled');
    this.#client.destroy(new Error('not read'));
  }

  // ── both sides are there ──

  #pass(session: ClientHttp2Session): void {
    if (this.#state !== 'opening') return;
    this.#state = 'passing';
    const client = this.#client;
    const request = session.request(fieldsOf(this.head), { endStream: this.#ended, waitForTrailers: !this.#ended });
    this.#request = request;
    request.on('error', () => {});
    this.#passRequest(client, request);
    let trailers: IncomingHttpHeaders = {};
    const interim = guard(this, (headers: IncomingHttpHeaders) => {
      if (!client.destroyed) client.additionalHeaders(passableFields(headers));
    });
    request.on('headers', interim);
    const answered = guard(this, (headers: IncomingHttpHeaders, flags: number) => {
      this.record?.began(Number(headers[constants.HTTP2_HEADER_STATUS]));
      this.#events.answered(this, Number(headers[constants.HTTP2_HEADER_STATUS]));
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      if (client.destroyed) return;
      client.respond(passableFields(headers), { endStream, waitForTrailers: !endStream });
      if (endStream) this.#allSaid();
      else this.#passAnswer(client, request);
    });
    request.on('response', answered);
    request.on('trailers', (headers: IncomingHttpHeaders) => {
      trailers = headers;
    });
    const sayTrailers = guard(this, () => {
      client.sendTrailers(passableFields(trailers));
      this.#allSaid();
    });
    client.once('wantTrailers', sayTrailers);
    const requestClosed = guard(this, () => this.#requestClosed(request.rstCode));
    request.once('close', requestClosed);
  }

  #passRequest(client: ServerHttp2Stream, request: ClientHttp2Stream): void {
    if (this.#ended) return;
    let trailers: IncomingHttpHeaders = {};
    client.on('trailers', (headers: IncomingHttpHeaders) => {
      trailers = headers;
    });
    const sayTrailers = guard(this, () => request.sendTrailers(passableFields(trailers)));
    request.once('wantTrailers', sayTrailers);
    const { record } = this;
    if (record !== null) {
      client.on('data', (chunk: Buffer) => {
        record.bytesIn += chunk.length;
      });
    }
    client.pipe(request);
  }

  /** The application has said its last word, or has reset the stream: so it is for the client. */
  #requestClosed(code: number | undefined): void {
    if (this.#state !== 'passing') return;
    if (!this.#client.headersSent && code === constants.NGHTTP2_NO_ERROR) {
      this.#broken();
      return;
    }
    const inOrder = code === undefined || code === constants.NGHTTP2_NO_ERROR;
    this.record?.end(inOrder ? '-' : 'S', inOrder ? null : 'application_broke_off');
    this.#over();
    if (!inOrder) this.#reset(code);
    else if (!this.#client.readableEnded) this.#stopBody();
  }

  #allSaid(): void {
    this.#said = true;
    this.#whenSaid?.();
  }

  /** Answered before its request was complete: the rest is not wanted (RFC 9113 section 8.1). */
  #stopBody(): void {
    // A reset would overtake trailers of this turn.
    const reset = guard(this, () => this.#client.close(constants.NGHTTP2_NO_ERROR));
    const stop = (): void => void setImmediate(reset);
    if (this.#said) stop();
    else this.#whenSaid = stop;
  }

  // ── ends ──

  #wasReset(code: ResetCodeValue): void {
    if (code === ResetCode.APP_REFUSED) this.#verdict = 'application_refused';
    this.#linkLost = code === ResetCode.LINK_LOST;
  }

  /** The application's connection is gone before its answer was complete. */
  #broken(): void {
    this.#session = null;
    if (this.#state === 'opening' && this.attempts < ATTEMPTS_MAX) {
      this.#state = 'waiting';
      this.#events.retry(this);
    } else if (this.#state === 'opening' || (this.#state === 'passing' && !this.#client.headersSent)) {
      this.#request?.destroy();
      if (this.#linkLost) this.record?.blame('D', 'link_lost');
      this.refuse(new PullproxyError(this.#verdict));
    } else if (this.#state === 'passing') {
      this.record?.end(this.#linkLost ? 'D' : 'S', this.#linkLost ? 'link_lost' : 'application_broke_off');
      this.#over();
      this.#reset(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #clientGone(): void {
    const code = this.#client.rstCode;
    if (this.#state === 'waiting') this.#events.leave(this);
    // Counted as for HTTP/1.1: it left before it had an answer.
    if (this.#state !== 'over' && !this.#client.headersSent) this.#events.answered(this, 499);
    const isOver = this.#state === 'over';
    if (!isOver) this.record?.end(this.#said ? '-' : 'C', this.#said ? null : 'client_closed');
    this.#state = 'over';
    if (!isOver) this.#request?.close(code === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : code);
    this.#leaveApplication();
  }

  /** A listener starts the flow: it comes with the pipe, not before. */
  #passAnswer(client: ServerHttp2Stream, request: ClientHttp2Stream): void {
    const { record } = this;
    if (record !== null) request.on('data', (chunk: Buffer) => record.passed(chunk.length));
    request.pipe(client);
  }

  #over(): void {
    this.#state = 'over';
    this.#leaveApplication();
  }

  /** What was written last, a reset maybe, goes out first. */
  #leaveApplication(): void {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    const end = guard('visit', () => session.destroy());
    setImmediate(end);
  }

  /** Resets without ending the body: see `StreamClient.abort`. */
  #reset(code: number): void {
    const client = this.#client;
    if (client.writableEnded || code !== constants.NGHTTP2_INTERNAL_ERROR) client.close(code);
    else client.destroy(new Error('broken off'));
  }
}
