import type { Socket } from 'node:net';
import { type ErrorCode, PullproxyError } from '../../errors.ts';
import { errorAnswer } from './answers.ts';
import { Exchange } from './exchange.ts';
import { parseHead } from './llhttp.ts';
import { type ForwardedFrom, readRequestHead } from './request-head.ts';

/** What a connection needs from the node around it. */
export interface HttpService {
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** Begins the visit of a request that was read. */
  visit(exchange: Exchange): void;
  /** The exchange's client is gone while it is held. */
  leave(exchange: Exchange): void;
  /** The exchange can be tried again, at its original place. */
  retry(exchange: Exchange): void;
  answered(exchange: Exchange | null, status: number): void;
  /** Set while the node leaves: connections end with their current answer. */
  readonly draining: boolean;
}

/** Bytes of the next requests that are read ahead while one is served. */
const PIPELINED_BYTES_MAX = 16_384;
/** After an error answer the rest of the request is read and dropped for a moment, so that the answer is not lost to a reset. */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 1_048_576;

/**
 * `head`: a request head is awaited or incomplete. `exchange`: one is being served, bytes go to its body or wait.
 * `tunnel`: after an Upgrade, bytes belong to the exchange whatever they are. `linger`: answered for the last time, input is dropped.
 */
type State = 'head' | 'exchange' | 'tunnel' | 'linger' | 'closed';

const EMPTY = Buffer.alloc(0);

/** One client's connection: cuts its bytes into requests, one exchange after the other, and notices when the client goes. */
export class ClientConnection {
  readonly socket: Socket;
  readonly from: ForwardedFrom;
  /** When the connection is to be closed for idleness, on the monotonic clock; Infinity during an exchange. */
  deadline: number;
  readonly #service: HttpService;
  readonly #gone: (connection: ClientConnection) => void;
  #state: State = 'head';
  #rest: Buffer = EMPTY;
  #exchange: Exchange | null = null;
  #paused = false;
  #lingered = 0;
  #pumping = false;

  constructor(socket: Socket, from: ForwardedFrom, service: HttpService, gone: (connection: ClientConnection) => void) {
    this.socket = socket;
    this.from = from;
    this.#service = service;
    this.#gone = gone;
    this.deadline = performance.now() + service.headTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#clientEnded());
    socket.on('error', () => this.#closed());
    socket.on('close', () => this.#closed());
  }

  get idle(): boolean {
    return this.#state === 'head' && this.#rest.length === 0;
  }

  /** True while input is not read: then the socket itself reports neither FIN nor RST. */
  get paused(): boolean {
    return this.#paused && this.#state !== 'closed';
  }

  write(bytes: Buffer): boolean {
    return this.socket.write(bytes);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }

  /** The exchange's answer is complete: the next request may come, or the connection ends. */
  finished(keepAlive: boolean): void {
    this.#exchange = null;
    if (!keepAlive || this.#service.draining) {
      this.#linger(EMPTY);
      return;
    }
    this.#state = 'head';
    this.deadline = performance.now() + (this.#rest.length > 0 ? this.#service.headTimeoutMs : this.#service.keepAliveTimeoutMs);
    this.resume();
    this.#pump();
  }

  tunnel(): void {
    this.#state = 'tunnel';
    const rest = this.#rest;
    this.#rest = EMPTY;
    this.resume();
    if (rest.length > 0) this.#exchange?.tunnelData(rest);
  }

  /** Nothing sensible can follow: the client sees a broken connection, as it must when an answer can't be completed. */
  abort(): void {
    this.#exchange = null;
    this.socket.resetAndDestroy();
    this.#closed();
  }

  /** Of an idle or a slow connection whose time is over. */
  timeOut(): void {
    if (this.#state === 'linger') this.socket.destroy();
    else if (this.idle) this.#linger(EMPTY);
    else this.#refuse('head_timeout');
  }

  closeIfIdle(): void {
    if (this.idle) this.#linger(EMPTY);
  }

  /** Called when the client was found gone by other means than the socket's events. */
  clientVanished(): void {
    this.#exchange?.clientGone();
    this.#exchange = null;
    this.socket.destroy();
    this.#closed();
  }

  #data(chunk: Buffer): void {
    switch (this.#state) {
      case 'head':
        this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
        if (this.socket.writableNeedDrain) this.pause();
        else this.#pump();
        return;
      case 'exchange': {
        const exchange = this.#exchange as Exchange;
        const used = exchange.requestComplete ? 0 : exchange.requestData(chunk);
        if (used < chunk.length && this.#state === 'exchange') this.#readAhead(used === 0 ? chunk : chunk.subarray(used));
        return;
      }
      case 'tunnel':
        this.#exchange?.tunnelData(chunk);
        return;
      case 'linger':
        this.#lingered += chunk.length;
        if (this.#lingered > LINGER_BYTES_MAX) this.socket.destroy();
        return;
      case 'closed':
    }
  }

  #drained(): void {
    if (this.#exchange !== null) {
      this.#exchange.clientDrained();
      return;
    }
    if (this.#state !== 'head') return;
    this.resume();
    this.#pump();
  }

  #readAhead(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#rest.length > PIPELINED_BYTES_MAX) this.pause();
  }

  /** Begins exchanges while complete requests are there. Not recursive: an exchange may finish while it begins. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // A client that asks without reading its answers waits here until it has read them.
    while (this.#state === 'head' && this.#rest.length > 0 && !this.socket.writableNeedDrain && this.#begin());
    this.#pumping = false;
  }

  /** Returns false when the head is not complete or was refused. */
  #begin(): boolean {
    const bytes = this.#rest;
    const head = parseHead('request', bytes);
    if (head.kind === 'invalid') {
      this.#refuse('bad_request', head.reason);
      return false;
    }
    if (head.kind === 'incomplete' || head.bytes > this.#service.headBytesMax) {
      if (bytes.length > this.#service.headBytesMax) this.#refuse('head_too_large');
      else if (this.deadline === Number.POSITIVE_INFINITY) this.deadline = performance.now() + this.#service.headTimeoutMs;
      return false;
    }
    let exchange: Exchange;
    try {
      exchange = new Exchange(this, this.#service, readRequestHead(bytes, head.bytes, head.parser, this.from), head.parser);
    } catch (error) {
      head.parser.release();
      if (!(error instanceof PullproxyError)) throw error;
      this.#refuse(error.code, error.message);
      return false;
    }
    this.#start(exchange, bytes.length === head.bytes ? EMPTY : bytes.subarray(head.bytes));
    return true;
  }

  #start(exchange: Exchange, rest: Buffer): void {
    this.#state = 'exchange';
    this.#exchange = exchange;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#rest = EMPTY;
    if (rest.length > 0) {
      const used = exchange.requestComplete ? 0 : exchange.requestData(rest);
      if (used < rest.length && this.#exchange === exchange) this.#readAhead(rest.subarray(used));
    }
    if (this.#exchange === exchange) this.#service.visit(exchange);
  }

  #refuse(code: ErrorCode, reason?: string): void {
    const error = new PullproxyError(code, reason);
    this.#service.answered(null, error.kind.status);
    this.#linger(errorAnswer(error, 'GET', false, false));
  }

  /** Says the last words, then waits a moment for the client to read them and to close. */
  #linger(last: Buffer): void {
    this.#state = 'linger';
    this.#rest = EMPTY;
    this.deadline = Number.POSITIVE_INFINITY;
    this.resume();
    const said = () => {
      this.deadline = performance.now() + LINGER_MS;
    };
    if (last.length > 0) this.socket.end(last, said);
    else this.socket.end(said);
  }

  #clientEnded(): void {
    if (this.#state === 'tunnel') {
      this.#exchange?.clientEnded();
      return;
    }
    if (this.#state === 'linger') {
      // Both sides have ended: what was said last is still being sent.
      this.socket.destroySoon();
      return;
    }
    // A client that closes while it waits is gone: with close() it sends the same FIN as with a half-close.
    this.#exchange?.clientGone();
    this.#exchange = null;
    this.socket.destroySoon();
    this.#closed();
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.clientGone();
    this.#rest = EMPTY;
    this.#gone(this);
  }
}
