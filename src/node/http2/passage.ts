import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { guard } from '../../boundary.ts';
import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import { errorAnswer } from '../http1/answers.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { isForbiddenTrailer } from '../http1/trailers.ts';
import { isNavigation } from '../http1/waiting-page.ts';
import type { Lender } from '../slots.ts';
import { Visit } from '../visit.ts';
import { factsOf, type VisitFacts } from '../visit-record.ts';
import { AnswerWriter } from './answer-writer.ts';
import { ApplicationStream, type ApplicationStreamOwner } from './application-stream.ts';
import { type ClientStream, canRespond } from './client-stream.ts';
import { BLOCK_BYTES_MAX, type Fields, isConnectionSpecific, NO_FIELDS, only, passesInAnswer } from './fields.ts';
import type { StreamOwner } from './guarded-stream.ts';
import { LinkDuplex } from './link-duplex.ts';
import { fieldsOf } from './passage-fields.ts';

export interface PassageEvents {
  /** An application that has not said its first words by then does not speak HTTP/2. */
  readonly headTimeoutMs: number;
  leave(visit: Visit): void;
  retry(visit: Visit): void;
  answered(visit: Visit, status: number): void;
}

const ATTEMPTS_MAX = 3;
const EMPTY = Buffer.alloc(0);
/** Fields of an answer's head; its bytes are bounded by Node's default, 64 KiB. */
const ANSWER_FIELDS_MAX = 1_024;
/** What the session needs to be told beside each request's own fields. */
const APPLICATION = 'http://application';
const SESSION_OPTIONS = {
  maxHeaderListPairs: ANSWER_FIELDS_MAX,
  maxSendHeaderBlockLength: BLOCK_BYTES_MAX,
  strictSingleValueFields: false,
  // Nobody would read what is pushed.
  settings: { enablePush: false },
} as const;

/** `waiting`: no slot yet. `opening`: the application's first words are awaited, nothing is sent. `passing`: both sides are joined. */
type State = 'waiting' | 'opening' | 'passing' | 'over';

/** One request of HTTP/2 for an application that speaks it, too: passed on as it is, by a connection of its own. */
export class Passage extends Visit implements StreamOwner {
  readonly head: RequestHead;
  readonly #client: ClientStream;
  /** The client has said all of its request. */
  #requestEnded: boolean;
  readonly #events: PassageEvents;
  #state: State = 'waiting';
  #session: ClientHttp2Session | null = null;
  /** Carries the session. */
  #duplex: LinkDuplex | null = null;
  #request: ApplicationStream | null = null;
  #verdict: ErrorCode = 'application_broke_off';
  #linkLost = false;
  /** The application has said all of its answer, and with which trailers. */
  #complete = false;
  #trailers: Fields = NO_FIELDS;
  #moved = false;

  /** `ended`: the request has no body. */
  constructor(client: ClientStream, head: RequestHead, ended: boolean, events: PassageEvents) {
    super(performance.now());
    this.head = head;
    this.#client = client;
    this.#requestEnded = ended;
    this.#events = events;
    this.heldBytes = head.bytes.length;
    client.owner = this;
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
    this.#duplex = duplex;
    const client = lender.link.tellsClients ? this.head.origin.text : '';
    duplex.attach(lender.link.open(duplex, this.record === null ? Flag.FRESH : Flag.FRESH | Flag.TELL, EMPTY, client));
    const session = connect(APPLICATION, { ...SESSION_OPTIONS, createConnection: () => duplex });
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
    new AnswerWriter(this.#client, this.head.method).write(answer);
    if (!this.#requestEnded) this.#client.stopBody();
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
    this.#client.breakOff();
    this.record?.end('I', 'internal_error');
  }

  /** Looked at now and then: a client that does not read its answer occupies no slot. One that has nothing to read may wait. */
  lookForProgress(): void {
    const moved = this.#moved;
    this.#moved = false;
    if (moved || !this.#client.isFull) return;
    this.record?.blame('c', 'client_stalled');
    this.#client.breakOff();
  }

  // ── both sides are there ──

  #pass(session: ClientHttp2Session): void {
    if (this.#state !== 'opening') return;
    const request = ApplicationStream.open(session, fieldsOf(this.head), !this.#requestEnded, this.#answerOwner());
    if (request === null) {
      this.#leaveApplication();
      this.refuse(new PullproxyError('bad_request', 'it can not be said in HTTP/2'));
      return;
    }
    this.#state = 'passing';
    this.#request = request;
    if (!this.#requestEnded) this.#client.read();
  }

  // ── the client's side ──

  data(piece: Buffer): void {
    if (this.record !== null) this.record.bytesIn += piece.length;
    if (this.#request?.write(piece) === false) this.#client.pause();
  }

  ended(trailers: Fields): void {
    this.#requestEnded = true;
    this.#request?.endWith(only(trailers, (name) => isTrailer(name, 'request')));
  }

  drained(): void {
    this.#moved = true;
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
    return {
      where: 'visit',
      fail: () => this.fail(),
      informed: (status, fields) => this.#client.inform(status, only(fields, passesInAnswer)),
      responded: (status, fields, ends) => this.#responded(status, only(fields, passesInAnswer), ends),
      data: (piece) => this.#answerData(piece),
      ended: (trailers) => this.#answerEnded(trailers),
      drained: () => this.#client.resume(),
      closed: (code) => this.#requestClosed(code),
    };
  }

  #responded(status: number, fields: Fields, ends: boolean): void {
    if (this.#state !== 'passing') return;
    if (!canRespond(status, fields)) {
      this.#request?.reset(constants.NGHTTP2_CANCEL);
      this.#leaveApplication();
      this.refuse(new PullproxyError('application_bad_answer'));
      return;
    }
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

  #answerEnded(trailers: Fields): void {
    this.#complete = true;
    this.#trailers = only(trailers, (name) => isTrailer(name, 'response'));
    this.#client.end();
  }

  /** The application's stream is over: after the whole answer, or it was reset. So it is for the client. */
  #requestClosed(code: number): void {
    if (this.#state !== 'passing') return;
    if (!this.#complete && (this.#request?.isUnsent === true || (!this.#client.hasResponded && code === constants.NGHTTP2_NO_ERROR))) {
      this.#broken();
      return;
    }
    this.record?.end(this.#complete ? '-' : 'S', this.#complete ? null : 'application_broke_off');
    this.#over();
    if (!this.#complete) this.#client.reset(code);
    else if (!this.#requestEnded) this.#client.stopBody();
  }

  // ── ends ──

  #wasReset(code: ResetCodeValue): void {
    if (code === ResetCode.APP_REFUSED) this.#verdict = 'application_refused';
    this.#linkLost = code === ResetCode.LINK_LOST;
  }

  /** The application's connection is gone before its answer was complete. */
  #broken(): void {
    this.#leaveApplication();
    if (this.#state === 'opening' && this.attempts < ATTEMPTS_MAX) {
      this.#state = 'waiting';
      this.#events.retry(this);
    } else if (this.#state === 'opening' || (this.#state === 'passing' && !this.#client.hasResponded)) {
      if (this.#linkLost) this.record?.blame('D', 'link_lost');
      this.refuse(new PullproxyError(this.#verdict));
    } else if (this.#state === 'passing') {
      this.record?.end(this.#linkLost ? 'D' : 'S', this.#linkLost ? 'link_lost' : 'application_broke_off');
      this.#over();
      this.#client.breakOff();
    }
  }

  #over(): void {
    this.#state = 'over';
    this.#leaveApplication();
  }

  /** What was written last, a reset maybe, goes out first. */
  #leaveApplication(): void {
    const [session, duplex] = [this.#session, this.#duplex];
    this.#session = this.#duplex = null;
    if (session === null) return;
    // Node leaves the connection of a session that has seen a GOAWAY to its peer: one that stays open would keep the slot.
    const leave = guard('visit', () => duplex?.destroy());
    const end = guard('visit', () => {
      session.destroy();
      setImmediate(leave);
    });
    setImmediate(end);
  }
}

function isTrailer(name: string, message: 'request' | 'response'): boolean {
  return !name.startsWith(':') && !isConnectionSpecific(name) && !isForbiddenTrailer(name, message);
}
