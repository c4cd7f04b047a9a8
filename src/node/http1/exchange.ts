import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Lender } from '../slots.ts';
import { Visit } from '../visit.ts';
import { Answer } from './answer.ts';
import { errorAnswer } from './answers.ts';
import { Body } from './body.ts';
import type { ClientConnection, HttpService } from './connection.ts';
import type { Parser } from './llhttp.ts';
import type { RequestHead } from './request-head.ts';

/** Body bytes that are read before a slot is there. */
const HELD_BODY_BYTES_MAX = 16_384;
/** What was sent is kept up to this, so that it can be sent again; beyond it a failed stream can't be retried. */
const REPLAY_BYTES_MAX = 32_768;
const ATTEMPTS_MAX = 3;

/** `waiting`: no stream yet. `open`: it has one. `tunnel`: after 101, bytes both ways. `over`: answered, refused or gone. */
type State = 'waiting' | 'open' | 'tunnel' | 'over';

/** One request and its one answer: between a client's connection and a stream of whatever instance serves it. */
export class Exchange extends Visit implements StreamHandler {
  readonly head: RequestHead;
  readonly #connection: ClientConnection;
  readonly #service: HttpService;
  readonly #body: Body;
  #answer: Answer;
  #state: State = 'waiting';
  #lender: Lender | null = null;
  #stream: Stream | null = null;
  /** Everything that was read of the request, as long as it may have to be sent (again); null once that is not possible. */
  #request: Buffer[] | null;
  #requestBytes: number;
  #fresh = false;
  /** Received from the application and waiting in the client's socket. */
  #undrained = 0;

  constructor(connection: ClientConnection, service: HttpService, head: RequestHead, parser: Parser) {
    super(performance.now());
    this.head = head;
    this.#connection = connection;
    this.#service = service;
    this.#body = new Body(head.framing, head.contentLength, parser);
    this.#request = [head.bytes];
    this.#requestBytes = head.bytes.length;
    this.heldBytes = head.bytes.length;
    this.#answer = new Answer(head);
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  get requestComplete(): boolean {
    return this.#body.complete;
  }

  // ── the client's side ──

  /** More of the request's body. Returns how many of the bytes were part of it. */
  requestData(chunk: Buffer): number {
    const bytes = this.#body.take(chunk);
    if (bytes < 0) {
      this.#malformedBody();
      return chunk.length;
    }
    if (bytes === 0) return 0;
    const part = bytes === chunk.length ? chunk : chunk.subarray(0, bytes);
    this.#remember(part);
    if (this.#stream !== null) {
      if (!this.#stream.write(part)) this.#connection.pause();
    } else if (this.#state === 'waiting') {
      this.grow(bytes);
      if (this.#requestBytes - this.head.bytes.length > HELD_BODY_BYTES_MAX) this.#connection.pause();
    }
    return bytes;
  }

  tunnelData(chunk: Buffer): void {
    if (this.#stream !== null && !this.#stream.write(chunk)) this.#connection.pause();
  }

  /** Half-close in a tunnel. */
  clientEnded(): void {
    this.#stream?.end();
    this.#endTunnelIfBothEnded();
  }

  /** The client's connection is gone. */
  clientGone(): void {
    const was = this.#state;
    if (was === 'over') return;
    this.#state = 'over';
    this.#release();
    // Counted as nginx does: the client closed before it had its whole answer.
    if (was !== 'tunnel') this.#service.answered(this, 499);
    if (was === 'waiting') {
      this.#service.leave(this);
      return;
    }
    if (this.#stream !== null) this.#lender?.link.reset(this.#stream, ResetCode.CANCEL);
    this.#stream = null;
  }

  clientDrained(): void {
    if (this.#undrained === 0 || this.#stream === null) return;
    const bytes = this.#undrained;
    this.#undrained = 0;
    this.#stream.consumed(bytes);
  }

  // ── the visit ──

  override serve(lender: Lender): void {
    this.#state = 'open';
    this.#lender = lender;
    const request = this.#request as Buffer[];
    const flags = this.#fresh ? Flag.FRESH : this.head.idempotent ? Flag.NONE : Flag.CAREFUL;
    if (this.attempts > 1) this.#answer = new Answer(this.head);
    // What was read fits the first window: it is bounded far below it.
    this.#stream = lender.link.open(this, flags, request.length === 1 ? (request[0] as Buffer) : Buffer.concat(request));
    this.#connection.resume();
  }

  override refuse(error: PullproxyError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#release();
    const keepAlive = this.head.keepAlive && this.requestComplete && !this.#service.draining;
    this.#service.answered(this, error.kind.status);
    this.#connection.write(errorAnswer(error, this.head.method, keepAlive, this.head.http10));
    this.#connection.finished(keepAlive);
  }

  // ── the application's side ──

  onData(chunk: Buffer): void {
    if (this.#state === 'tunnel') {
      this.#toClient(chunk, chunk.length);
      return;
    }
    const closing = !this.head.keepAlive || !this.requestComplete || this.#service.draining;
    let rest: Buffer | null = chunk;
    while (rest !== null && this.#state === 'open') {
      const before: number = rest.length;
      const out = this.#answer.take(rest, closing);
      if (out === null) {
        this.#fail('application_bad_answer');
        return;
      }
      rest = out.rest;
      if (this.#answer.started) this.#request = null;
      if (out.bytes !== null) this.#toClient(out.bytes, before - (rest?.length ?? 0));
      else this.#stream?.consumed(before - (rest?.length ?? 0));
      if (this.#answer.state === 'tunnel') {
        this.#enterTunnel(rest);
        return;
      }
      // Bytes after a complete answer are nobody's: the application connection is not to be trusted with another request.
      if (this.#answer.state === 'complete') {
        this.#complete(rest === null);
        return;
      }
    }
  }

  onEnd(): void {
    if (this.#state === 'tunnel') {
      this.#connection.socket.end();
      this.#endTunnelIfBothEnded();
      return;
    }
    if (this.#answer.endsByClose()) {
      this.#complete(false);
      return;
    }
    this.#fail('application_broke_off');
  }

  onDrain(): void {
    this.#connection.resume();
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.#stream = null;
    if (this.#state === 'over') return;
    if (this.#state === 'tunnel' || this.#answer.started) {
      const ended = this.#state === 'tunnel' && code === ResetCode.CLOSED;
      this.#state = 'over';
      this.#release();
      if (ended) this.#connection.socket.destroySoon();
      else this.#connection.abort();
      return;
    }
    const harmless = !reached || (this.head.idempotent && (reused || code === ResetCode.LINK_LOST));
    if (harmless && this.#request !== null && this.attempts < ATTEMPTS_MAX) {
      this.#state = 'waiting';
      this.#fresh = true;
      this.heldBytes = this.#requestBytes;
      this.#service.retry(this);
      return;
    }
    this.#answerError(code === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off');
  }

  // ── ends ──

  /** The answer is complete. */
  #complete(clean: boolean): void {
    const stream = this.#stream as Stream;
    const link = (this.#lender as Lender).link;
    const closes = this.#answer.closesClient || !this.requestComplete;
    this.#state = 'over';
    this.#stream = null;
    this.#release();
    this.#service.answered(this, this.#answer.status);
    if (clean && this.requestComplete && this.#answer.keepsApplication) link.doneAndKeep(stream);
    else link.doneAndClose(stream);
    this.#connection.finished(!closes);
  }

  #enterTunnel(rest: Buffer | null): void {
    this.#state = 'tunnel';
    this.#service.answered(this, 101);
    if (rest !== null) this.#toClient(rest, rest.length);
    this.#connection.tunnel();
  }

  #endTunnelIfBothEnded(): void {
    if (this.#stream === null || this.#stream.state !== 'closing') return;
    const stream = this.#stream;
    this.#stream = null;
    this.#state = 'over';
    this.#lender?.link.doneAndClose(stream);
  }

  /** The application's answer can't be understood or was cut short. */
  #fail(code: ErrorCode): void {
    const stream = this.#stream as Stream;
    this.#stream = null;
    this.#lender?.link.reset(stream, ResetCode.CANCEL);
    if (this.#answer.started) {
      this.#state = 'over';
      this.#release();
      this.#connection.abort();
    } else {
      this.#answerError(code);
    }
  }

  #answerError(code: ErrorCode): void {
    this.#state = 'waiting';
    this.refuse(new PullproxyError(code));
  }

  #malformedBody(): void {
    const error = new PullproxyError('bad_request', 'malformed chunked body');
    if (this.#state === 'waiting') {
      this.#service.leave(this);
    } else if (this.#stream !== null) {
      this.#lender?.link.reset(this.#stream, ResetCode.CANCEL);
      this.#stream = null;
    }
    if (this.#answer.started) this.#connection.abort();
    else this.refuse(error);
  }

  #toClient(bytes: Buffer, received: number): void {
    if (this.#connection.write(bytes)) this.#stream?.consumed(received);
    else this.#undrained += received;
  }

  #remember(part: Buffer): void {
    this.#requestBytes += part.length;
    if (this.#request === null) return;
    // Before a slot is there everything is kept, and reading stops at HELD_BODY_BYTES_MAX.
    if (this.#state !== 'waiting' && this.#requestBytes > REPLAY_BYTES_MAX) this.#request = null;
    else this.#request.push(part);
  }

  #release(): void {
    this.#body.release();
    this.#answer.release();
    this.#request = null;
  }
}
