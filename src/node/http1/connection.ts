import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { FailureDomain } from '../../boundary.ts';
import { PullproxyError } from '../../errors.ts';
import { type ClientReads, ownBytes } from '../../memory/reused-reads.ts';
import { readsOf } from '../../memory/socket-handle.ts';
import { ClientSocket } from '../clients/client-socket.ts';
import type { Tunnel } from '../clients/tunnel.ts';
import type { Route } from '../matching/route.ts';
import { Exchange, type ExchangeClient, type ExchangeEvents } from './exchange.ts';
import type { ForwardedFrom } from './head/forwarding.ts';
import type { HttpVisit } from './http-visit.ts';
import { nextRequest, withoutEmptyLines } from './next-request.ts';
import { CONTINUE, errorResponse, type OwnResponse, PROCESSING } from './own-responses.ts';
import { firstLookMs, ReadingPace } from './pace.ts';

/** The parts of its node that a connection needs. */
export interface HttpService extends ExchangeEvents {
  /** The node leaves, and clients still ask on connections that they have kept: idle ones are kept a moment longer. */
  isStillAsked(now: number): boolean;
  /** The route of a host; null: it is not known here. */
  match(host: string, request: { readonly target: string }): Route | PullproxyError | null;
  /** Begins the visit of a request that was read. */
  visit(visit: HttpVisit, found: Route | PullproxyError | null): void;
  /** A request could not be read, and is answered so. */
  turnedAway(error: PullproxyError, from: ForwardedFrom): void;
}

/** Another protocol that is known by its first bytes. Its code takes the socket over, with all of them unread. */
export interface OtherProtocol {
  begins(bytes: Buffer): 'yes' | 'no' | 'perhaps';
  takeOver(connection: ClientConnection): void;
}

/** Bytes of the next requests that are read ahead while one is served. */
const PIPELINED_BYTES_MAX = 16_384;
/** While the node leaves, an idle connection's next request may be on its way already: it is answered, with `Connection: close`. */
const DRAIN_IDLE_MS = 1_000;
/** All are told, or ended, within the second that a health check takes to fail twice. */
const END_IDLE_MS = 500;

/**
 * `head`: a request head is awaited or incomplete. `exchange`: one is being served, bytes go to its body or wait.
 * `tunnel`: after an Upgrade, bytes are the tunnel's whatever they are. `linger`: answered for the last time, input is dropped.
 */
type State = 'head' | 'exchange' | 'tunnel' | 'linger' | 'closed';

const EMPTY = Buffer.alloc(0);

/** One client's connection: cuts its bytes into requests, one exchange after the other, and notices when the client goes. */
export class ClientConnection extends ClientSocket implements ExchangeClient, FailureDomain {
  readonly #from: ForwardedFrom;
  readonly #service: HttpService;
  readonly #gone: (connection: ClientConnection) => void;
  #other: OtherProtocol | null;
  readonly #stallTimeoutMs: number;
  #state: State = 'head';
  readonly #reads: ClientReads | undefined;
  #rest: Buffer = EMPTY;
  #exchange: Exchange | null = null;
  #tunnel: Tunnel | null = null;
  #pumping = false;
  #reading: ReadingPace | null = null;
  /** The deadline is that of a head whose first bytes are there. */
  #headTimed = false;

  /** `other`: what the connection may turn out to speak instead. */
  constructor(
    socket: Socket,
    from: ForwardedFrom,
    service: HttpService,
    gone: (connection: ClientConnection) => void,
    other: OtherProtocol | null = null,
  ) {
    super(socket, performance.now() + service.limits.headTimeoutMs);
    this.#from = from;
    this.#service = service;
    this.#gone = gone;
    this.#other = other;
    this.#stallTimeoutMs = service.limits.stallTimeoutMs;
    this.#reads = readsOf(socket);
    if (this.isEncrypted) this.#watchPauses();
    this.listen(this, {
      data: (chunk) => this.#data(chunk),
      drained: () => this.#drained(),
      ended: () => this.#clientEnded(),
      closed: (broken) => this.#closed(!broken && socket.readableEnded && socket.writableFinished),
    });
  }

  get where(): 'client' {
    return 'client';
  }

  /** The request that is under way is answered, if that is still possible: it may have nothing to do with the error. */
  fail(): void {
    const exchange = this.#exchange;
    if (exchange === null || exchange.isOver || this.socket.destroyed) this.abort();
    else exchange.fail();
  }

  // ── for the exchange ──

  override write(bytes: Buffer): boolean {
    if (super.write(bytes)) return true;
    this.#waitForReader();
    return false;
  }

  say({ text }: OwnResponse): void {
    this.write(text);
  }

  sayContinue(): void {
    this.write(CONTINUE);
  }

  sayProcessing(): void {
    if (!this.hasUnsent) this.write(PROCESSING);
  }

  /** They are bytes in front of the body. */
  readonly heads = null;

  /** A TLS socket may read more at a time than there is room for. */
  get readsInBulk(): boolean {
    return this.isEncrypted;
  }

  get unreadBytes(): number {
    return this.#rest.length + (this.paused ? this.socket.readableLength : 0);
  }

  finished(keepAlive: boolean): void {
    this.#exchange = null;
    if (!keepAlive) {
      this.#end(null);
      return;
    }
    this.#state = 'head';
    this.#headTimed = false;
    // A client that was not told that its connection closes may be sending the next request.
    this.deadline = performance.now() + (this.#service.draining ? DRAIN_IDLE_MS : this.#service.limits.keepAliveTimeoutMs);
    this.resume();
    this.#pump();
  }

  enter(tunnel: Tunnel): void {
    this.#state = 'tunnel';
    this.#exchange = null;
    this.#tunnel = tunnel;
    if (this.#reads !== undefined) this.#reads.isWide = true;
    this.watchIdle(this.#service.limits.upgradeIdleTimeoutMs);
    this.probe();
    const rest = this.#rest;
    this.#rest = EMPTY;
    this.resume();
    if (rest.length > 0) tunnel.clientData(rest);
  }

  // ── for the listener ──

  /** The deadline has passed. */
  timeOut(now: number): void {
    const waitsForReader = this.isFull || (this.#state === 'linger' && !this.hasSaid);
    if (this.#state === 'tunnel') this.#closeIdle(now);
    else if (this.#state === 'exchange' || waitsForReader) this.#lookForProgress(now);
    else if (this.#state === 'linger') this.socket.destroy();
    else if (this.#state !== 'head') this.deadline = Number.POSITIVE_INFINITY;
    else if (this.#rest.length > 0) this.#refuse(new PullproxyError('head_timeout'));
    else if (this.#service.isStillAsked(now)) this.deadline = now + DRAIN_IDLE_MS;
    else this.#end(null);
  }

  #closeIdle(now: number): void {
    if (!this.isIdle(now)) return;
    this.#tunnel?.blame('c', 'idle_timeout');
    this.socket.destroy();
  }

  endIdle(now: number): void {
    if (this.#state !== 'head' || this.#rest.length > 0) return;
    const idleMs = now - (this.deadline - this.#service.limits.keepAliveTimeoutMs);
    // One that is in use is told with its next response.
    if (idleMs > END_IDLE_MS) this.#end(null);
    else this.deadline = now + END_IDLE_MS;
  }

  /** The node leaves: ends when it is idle for a moment, or with its current response. */
  drain(now: number): void {
    if (this.#state === 'head' && this.#rest.length === 0) this.deadline = Math.min(this.deadline, now + DRAIN_IDLE_MS);
  }

  /** The client was found gone while its socket is not read: it has closed its side (`ended`), or its connection is broken. */
  clientVanished(ended: boolean): void {
    if (!ended) this.abort();
    // In front of a tunnel's half-close there may be bytes that are still to be read.
    else if (this.#state !== 'tunnel') this.#clientEnded();
  }

  // ── the socket's events ──

  #data(chunk: Buffer): void {
    switch (this.#state) {
      case 'head':
        this.#headData(chunk);
        return;
      case 'exchange': {
        const exchange = this.#exchange as Exchange;
        const used = exchange.requestComplete ? 0 : exchange.requestData(chunk);
        if (this.#reads !== undefined) this.#reads.isWide = exchange.isServed && !exchange.requestComplete;
        if (used < chunk.length && this.#state === 'exchange') this.#readAhead(used === 0 ? chunk : chunk.subarray(used));
        return;
      }
      case 'tunnel':
        this.#tunnel?.clientData(chunk);
        return;
      case 'linger':
        this.drop();
        return;
      default:
    }
  }

  /** A paused TLS socket goes on with what it has decrypted, and would read on until its own buffer is full. Other sockets stop at once. */
  #watchPauses(): void {
    const { socket } = this;
    const { push, _read: read } = socket;
    socket.push = (piece, encoding) => {
      if (this.paused && Buffer.isBuffer(piece)) this.#exchange?.keptUnread(piece.length);
      return push.call(socket, piece, encoding);
    };
    socket._read = (bytes) => {
      if (!this.paused) read.call(socket, bytes);
    };
  }

  #drained(): void {
    this.#reading?.drained();
    if (this.#exchange !== null) {
      this.#exchange.clientDrained();
    } else if (this.#tunnel !== null) {
      this.#tunnel.clientDrained();
    } else if (this.#state === 'head') {
      this.resume();
      this.#pump();
    }
  }

  #clientEnded(): void {
    switch (this.#state) {
      case 'tunnel':
        this.#tunnel?.clientEnded();
        return;
      case 'head':
        // Responses that were given before are still on their way.
        this.#end(null);
        return;
      case 'exchange': {
        // A client that closes while it waits is gone: with close() it sends the same FIN as with a half-close.
        const exchange = this.#exchange as Exchange;
        const { hasBegun } = exchange;
        this.#exchange = null;
        exchange.clientGone();
        if (hasBegun) this.abort();
        else this.#end(null);
        return;
      }
      default:
    }
  }

  #closed(inOrder: boolean): void {
    this.#state = 'closed';
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#rest = EMPTY;
    this.#gone(this);
    exchange?.clientGone();
    this.#tunnel?.clientGone(inOrder);
  }

  // ── requests ──

  #headData(chunk: Buffer): void {
    const begun = this.#rest.length > 0;
    this.#rest = begun ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (this.isFull) this.pause();
    // A head ends with a line: one that comes byte by byte is not looked at again for each of them.
    else if (!begun || chunk.includes(0x0a) || this.#rest.length > this.#service.limits.headBytesMax) this.#pump();
    this.#rest = ownBytes(this.#rest);
  }

  #readAhead(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? ownBytes(chunk) : Buffer.concat([this.#rest, chunk]);
    if (this.#rest.length > PIPELINED_BYTES_MAX) this.pause();
    this.#exchange?.keptUnread(chunk.length);
  }

  /** Begins exchanges while complete requests are there. Not recursive: an exchange may finish while it begins. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // A client that asks without reading its responses waits here until it has read them.
    try {
      while (this.#state === 'head' && this.#rest.length > 0 && !this.isFull && this.#begin());
    } finally {
      this.#pumping = false;
    }
  }

  /** Returns false when the head is not complete or was refused. */
  #begin(): boolean {
    const bytes = withoutEmptyLines(this.#rest);
    this.#rest = bytes;
    if (bytes.length === 0 || this.#speaksOther(bytes)) return false;
    const next = nextRequest(bytes, this.#service.limits.headBytesMax, this.#from);
    if (next.kind === 'refused') {
      this.#refuse(next.error);
      return false;
    }
    if (next.kind === 'incomplete') {
      if (this.#headTimed) return false;
      this.#headTimed = true;
      this.deadline = performance.now() + this.#service.limits.headTimeoutMs;
      return false;
    }
    const exchange = new Exchange(this, this.#service, next.head, next.body);
    this.#start(exchange, bytes.length === next.bytes ? EMPTY : bytes.subarray(next.bytes));
    return true;
  }

  /** Only the first bytes tell. */
  #speaksOther(bytes: Buffer): boolean {
    if (this.#other === null) return false;
    const begins = this.#other.begins(bytes);
    if (begins === 'perhaps') return true;
    const { takeOver } = this.#other;
    this.#other = null;
    if (begins === 'no') return false;
    this.#state = 'closed';
    this.#rest = EMPTY;
    for (const event of ['data', 'drain', 'end', 'error', 'close']) this.socket.removeAllListeners(event);
    if (this.#reads !== undefined) this.#reads.isWide = true;
    this.socket.pause();
    this.socket.unshift(ownBytes(bytes));
    takeOver(this);
    return true;
  }

  #start(exchange: Exchange, rest: Buffer): void {
    this.#state = 'exchange';
    this.#exchange = exchange;
    this.deadline = exchange.arrivedAt + (exchange.requestComplete ? this.#stallTimeoutMs : firstLookMs(this.#service.limits));
    this.#rest = EMPTY;
    if (rest.length > 0) {
      const used = exchange.requestComplete ? 0 : exchange.requestData(rest);
      if (used < rest.length && this.#exchange === exchange) this.#readAhead(rest.subarray(used));
    }
    if (this.#exchange === exchange) this.#service.visit(exchange, this.#service.match(exchange.head.host, exchange.head));
  }

  // ── ends ──

  #refuse(error: PullproxyError): void {
    this.#service.turnedAway(error, this.#from);
    this.#end(errorResponse(error, 'GET', false, false).text);
  }

  #end(last: Buffer | null): void {
    this.#state = 'linger';
    this.#rest = EMPTY;
    this.deadline = performance.now() + this.#stallTimeoutMs;
    this.linger(last);
    // The last words may wait behind what the client has not read.
    if (this.hasUnsent) this.#waitForReader();
  }

  #waitForReader(): void {
    this.#reading ??= new ReadingPace(this.#service.limits);
    this.#reading.full(performance.now(), this.bytesTaken);
  }

  /** A client that reads its response or sends its body too slowly occupies nothing. */
  #lookForProgress(now: number): void {
    const readMs = this.#reading?.leftMs(now, this.bytesTaken) ?? this.#stallTimeoutMs;
    if (readMs === 0) {
      this.#exchange?.blame('c', 'client_stalled');
      this.abort();
      return;
    }
    const exchange = this.#exchange;
    const dueMs = exchange?.bodyDueMs(now) ?? Number.POSITIVE_INFINITY;
    if (dueMs === 0) exchange?.bodyTooSlow();
    else
      this.deadline =
        now + Math.min(readMs, dueMs, exchange?.requestComplete === false ? firstLookMs(this.#service.limits) : this.#stallTimeoutMs);
  }
}
