/**
 * One connection to the application, and the pump between it and the stream that it serves.
 *
 *     connecting ──▶ serving ◀──▶ kept        a new one serves, is kept after a DONE with KEEP, and serves again
 *                       ◀──▶ parked           after PARK it stays with its stream, which occupies no slot until UNPARK
 *          │            │          │
 *          └────────────┴──────────┴──▶ closing ──▶ closed
 *
 * `closing`: our FIN is sent and later bytes are discarded. The application may still compute: the connection
 * ends only when the application has closed too, and only then is the slot free.
 */
import type { Duplex } from 'node:stream';
import { guard } from '../boundary.ts';
import { ResetCode, type ResetCodeValue } from '../link/frames.ts';
import type { DoneHow } from '../link/linker-link.ts';
import type { Stream } from '../link/stream.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import type { AppSide, Lender } from './app-side.ts';
import { type AppAddress, InProcessSocket, openSocket } from './app-socket.ts';
import { LateFailures } from './late-failures.ts';
import { outOfFilesWords } from './open-files.ts';
import { writeWithNext } from './proxy-header.ts';
import { cameBefore, readTurn } from './read-turn.ts';
import { type ResponseTimes, ResponseWatch } from './response-watch.ts';
import { isSelfConnected } from './self-connected.ts';

export type ConnectionState = 'connecting' | 'serving' | 'kept' | 'parked' | 'closing' | 'closed';

/** A write up to this on a connection whose send buffer is empty is taken by the kernel as a whole, or not at all. */
const WHOLE_WRITE_BYTES_MAX = 16_384;

/** The connection's calls to its pool. */
export interface ConnectionOwner extends ResponseTimes {
  /** It can serve the next stream. False: the pool does not want it. */
  keep(connection: AppConnection): boolean;
  /** The node has seen a whole response of the application. */
  answered(): void;
  /** The head of a response says something about the limit. */
  said(text: string): void;
  /** It waits with its stream for the next exchange. It may be closed when its place is needed. */
  parked(connection: AppConnection): void;
  /** It is parked no longer. */
  unparked(connection: AppConnection): void;
  /** A kept connection can't be used again. */
  spoiled(connection: AppConnection): void;
  /** Its FIN is on the way; `idle`: the application had nothing to do for it. */
  closing(connection: AppConnection, idle: boolean): void;
  /** Gone; `refused`: the application never accepted it. */
  closed(connection: AppConnection, refused: boolean): void;
  /** The connection ended before it was given a byte of this stream: it needs another. */
  again(stream: Stream, lender: Lender): void;
}

export class AppConnection implements AppSide {
  /** The client whose streams it serves, as client-ends.ts writes it; '' without PROXY headers. */
  readonly client: string;
  /** When it was kept; performance.now() in ms. */
  keptAt = 0;
  /** When it is destroyed although the application has not closed it. */
  closeBy = Number.POSITIVE_INFINITY;
  /** Why connecting was impossible (no file descriptors). */
  starved: string | null = null;
  readonly answer: ResponseWatch;
  /** Bytes came after our FIN: the application does not compute in silence, it writes. */
  discards = false;
  readonly #owner: ConnectionOwner;
  readonly #dialledAt = performance.now();
  readonly #socket: Duplex;
  readonly #isInProcess: boolean;
  readonly #lateFailures: LateFailures;
  #state: ConnectionState = 'connecting';
  #stream: Stream | null = null;
  #lender: Lender | null = null;
  #verdict: ResetCodeValue = ResetCode.CLOSED;
  /** It was kept before: the application may have closed it at the very moment of its reuse. */
  #reused = false;
  /** It belongs to one stream for all of its life: what the node and the application say to each other there has no end between exchanges. */
  #hasParked = false;
  /** In which it was taken for the stream. */
  #takenInTurn = 0;
  // Fields of the stream that it serves:
  #writes = 0;
  #writtenBytes = 0;
  #reached = false;
  #isBroken = false;
  /** Bytes that wait for the application. */
  #undrained = 0;

  /** `opening`: what the application is to read before anything of a stream. */
  constructor(owner: ConnectionOwner, app: AppAddress, client: string, opening: Buffer | undefined) {
    this.#owner = owner;
    this.answer = new ResponseWatch(owner);
    this.client = client;
    const socket = openSocket(app);
    this.#socket = socket;
    this.#isInProcess = socket instanceof InProcessSocket;
    const connected = guard(this, () => this.#connected());
    const came = guard(this, (chunk: Buffer) => this.#appData(chunk));
    const drained = guard(this, () => this.#appDrained());
    const ended = guard(this, () => this.#appEnded());
    const failed = guard(this, ({ code }: NodeJS.ErrnoException) => {
      if (this.#state === 'connecting') this.starved = outOfFilesWords(code);
    });
    const closed = guard(this, () => this.#closed());
    socket.on('connect', connected).on('data', came).on('drain', drained).on('end', ended).on('error', failed).on('close', closed);
    this.#lateFailures = new LateFailures(socket, () => this.#writeFailed());
    if (opening !== undefined) writeWithNext(this, socket, opening);
  }

  #writeFailed(): void {
    // It was refused as a whole, because the application had closed before.
    if (this.#writes === 1 && this.#writtenBytes <= WHOLE_WRITE_BYTES_MAX) this.#reached = false;
  }

  readonly where = 'application';

  fail(): void {
    if (this.#state === 'kept') this.#owner.spoiled(this);
    if (this.#state === 'parked') this.#owner.unparked(this);
    this.abort();
  }

  get state(): ConnectionState {
    return this.#state;
  }
  get heardAt(): number {
    return this.answer.heardAt;
  }

  get reused(): boolean {
    return this.#reused;
  }
  /** On a reused connection: the time between the first bytes of the response and the next. */
  get responseGapMs(): number {
    return this.answer.gapMs;
  }

  serve(stream: Stream, lender: Lender): void {
    if (this.#state === 'kept') {
      this.#state = 'serving';
      this.#reused = true;
      this.#takenInTurn = readTurn();
      stream.connected(0);
    }
    this.#stream = stream;
    this.#lender = lender;
    this.#writes = 0;
    this.#writtenBytes = 0;
    this.#reached = false;
    this.answer.begin();
    // A 'drain' that belongs to the stream before may still be on its way.
    this.#undrained = 0;
    stream.handler = this;
  }

  /** Sends FIN and waits for the application's; the stream is told `verdict` then. */
  close(verdict: ResetCodeValue = ResetCode.CLOSED): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    const idle = this.#state === 'kept' || this.#state === 'parked';
    if (this.#state === 'parked') this.#owner.unparked(this);
    this.#verdict = verdict;
    this.#state = 'closing';
    this.#owner.closing(this, idle);
    this.#abandon();
    // Its peer has closed already.
    this.#lateFailures.end();
    this.#socket.end();
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  abort(): void {
    this.destroy();
    this.#free(this.#state === 'closing' ? this.#verdict : ResetCode.APP_CLOSED);
  }

  // ── the node's side ──

  onData(chunk: Buffer): Ownership {
    const stream = this.#stream as Stream;
    if (this.#state === 'closed') {
      // The application has closed both directions and the node writes on: what a kernel answers by RST. Its own last bytes go first.
      stream.consumed(chunk.length);
      if (stream.pendingBytes === 0) this.#free(ResetCode.APP_CLOSED);
      return 'borrowed';
    }
    this.#writes++;
    this.answer.wrote();
    this.#writtenBytes += chunk.length;
    this.#reached = true;
    // In this process the application has the very bytes.
    const isFlushed = this.#socket.write(this.#isInProcess ? Buffer.from(chunk) : chunk);
    if (isFlushed) stream.consumed(chunk.length);
    else this.#undrained += chunk.length;
    return this.#socket.writableLength > 0 ? 'kept' : 'borrowed';
  }

  onEnd(): void {
    this.#writes++;
    this.#reached = true;
    this.#socket.end();
  }

  onDrain(): void {
    if (this.#state === 'closed' && !this.#hasEnded) this.#free(ResetCode.APP_CLOSED);
    else this.#socket.resume();
  }

  onReset(code: ResetCodeValue): void {
    if (code !== ResetCode.LINK_LOST) this.#abandon();
    this.#over();
  }

  done(how: DoneHow): void {
    if (this.answer.begun) this.#owner.answered();
    if (how === 'close') {
      this.#over();
      return;
    }
    this.#stream = null;
    this.#lender = null;
    if (this.#state === 'closed') return;
    if (this.#reusable()) {
      this.#state = 'kept';
      this.keptAt = performance.now();
      if (how === 'keep' && this.#owner.keep(this)) return;
    }
    this.close();
  }

  park(): void {
    // One that is closing has been given up here: its stream is freed when the application has closed.
    if (this.#state !== 'serving') return;
    if (this.answer.begun) this.#owner.answered();
    this.#state = 'parked';
    this.#hasParked = true;
    this.#owner.parked(this);
  }

  unpark(): void {
    this.#reused = true;
    this.#writes = 0;
    this.#writtenBytes = 0;
    // This exchange has not reached it: if the connection is closing by now, none of its bytes will.
    this.#reached = false;
    this.answer.begin();
    if (this.#state !== 'parked') return;
    this.#owner.unparked(this);
    this.#state = 'serving';
  }

  #over(): void {
    if (this.#state === 'closed') this.#free(ResetCode.CLOSED);
    else this.close();
  }

  /** Nothing more is sent or heard, but the stream stays ours: a RESET that comes now must not free its slot before the connection is closed. */
  #abandon(): void {
    if (this.#stream === null) return;
    this.#stream.abandon();
    this.#stream.handler = this;
  }

  /** Nothing of this exchange is left in it, in either direction. */
  #reusable(): boolean {
    const socket = this.#socket;
    return this.#state === 'serving' && socket.writableLength === 0 && !socket.writableEnded && !socket.readableEnded && !socket.isPaused();
  }

  // ── the application's side ──

  #connected(): void {
    if (this.#state !== 'connecting') return;
    if (isSelfConnected(this.#socket)) this.#socket.destroy();
    else {
      this.#state = 'serving';
      this.#stream?.connected(Math.max(1, Math.round((performance.now() - this.#dialledAt) * 1_000)));
    }
  }

  #appData(chunk: Buffer): void {
    if (this.#hasParked) {
      this.#passOnData(chunk);
      return;
    }
    // Within this process a response takes no time at all.
    const isBefore = this.#isInProcess ? this.#writes === 0 : cameBefore(this.#takenInTurn);
    const isUnasked = isBefore && this.#reused && !this.answer.begun;
    if (this.#state === 'serving' && isUnasked) {
      // Bytes without a request, or a 408 because none came: they must not answer this request. Treated as if it had closed.
      this.close(ResetCode.APP_CLOSED);
      return;
    }
    if (this.#state === 'serving') {
      this.#hear(chunk, this.#reused);
      if (!(this.#stream as Stream).write(chunk)) this.#socket.pause();
      return;
    }
    this.#spoil();
    this.discards = true;
    // The word about the limit counts also in a response that nobody waits for.
    this.#hear(chunk, false);
  }

  #hear(chunk: Buffer, timed: boolean): void {
    const word = this.answer.came(chunk, timed);
    if (word !== null) this.#owner.said(word);
  }

  /** Between exchanges, too: HTTP/2 has frames that belong to none of them. */
  #passOnData(chunk: Buffer): void {
    if (this.#state !== 'serving' && this.#state !== 'parked') {
      this.discards = true;
      return;
    }
    if (this.#state === 'serving') this.answer.cameFramed(chunk);
    if (!(this.#stream as Stream).write(chunk)) this.#socket.pause();
  }

  #appDrained(): void {
    const bytes = this.#undrained;
    this.#undrained = 0;
    if (bytes > 0) this.#stream?.consumed(bytes);
  }

  #appEnded(): void {
    if (this.#state === 'parked') {
      this.close(ResetCode.APP_CLOSED);
      return;
    }
    if (this.#state !== 'serving') {
      this.#spoil();
      return;
    }
    if (this.#lateFailures.isPending) {
      // The kernel tells of a reset once, and the write has heard of it: this is none of the application's ends.
      this.#isBroken = true;
      this.#lateFailures.end();
      return;
    }
    if (this.answer.begun || !this.#reused) {
      this.#stream?.end();
    } else if (this.#writes === 0 && !this.#hasParked) {
      this.#passOn();
      this.close();
    } else {
      // Closed at the very moment of its reuse. To the node this is another thing than an application that closes without a response.
      this.close(ResetCode.APP_CLOSED);
    }
  }

  /** It ended before it was given a byte of the stream: another connection serves it, and nobody notices. */
  #passOn(): void {
    const [stream, lender] = [this.#stream, this.#lender];
    this.#stream = null;
    this.#lender = null;
    if (stream !== null && lender !== null) this.#owner.again(stream, lender);
  }

  /** A kept connection that sends bytes or ends by itself: its bytes belong to no request. */
  #spoil(): void {
    if (this.#state !== 'kept') return;
    this.#owner.spoiled(this);
    this.close();
  }

  /** The application has ended it in order. */
  get #hasEnded(): boolean {
    return this.#socket.readableEnded && !this.#isBroken;
  }

  #closed(): void {
    const was = this.#state;
    this.#state = 'closed';
    if (was === 'kept') this.#owner.spoiled(this);
    if (was === 'parked') this.#owner.unparked(this);
    if (was === 'serving' && this.#reused && this.#writes === 0 && !this.#hasParked) this.#passOn();
    const refused = was === 'connecting';
    this.#owner.closed(this, refused);
    const stream = this.#stream;
    if (stream === null) return;
    if (was === 'closing') this.#free(this.#verdict);
    else if (refused) this.#free(ResetCode.APP_REFUSED);
    // Ended in order: the node has been told, and its DONE is to come. Broken, with bytes left: they go first.
    else if (!this.#hasEnded && stream.pendingBytes === 0) this.#free(ResetCode.APP_CLOSED);
  }

  #free(code: ResetCodeValue): void {
    const stream = this.#stream;
    const lender = this.#lender;
    if (stream === null || lender === null) return;
    this.#stream = null;
    this.#lender = null;
    lender.free(stream, code, this.#reached && code !== ResetCode.APP_REFUSED, this.#reused);
  }
}
