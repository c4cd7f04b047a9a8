/**
 * Streams of Node's HTTP/2, with every call and every event in one place. The calls of Node's API throw: on a stream that the peer has
 * reset in the meantime, for a field or status that it does not like. Here none does: what can't be said resets this one stream.
 */
import { constants, type Http2Stream, type IncomingHttpHeaders } from 'node:http2';
import { type FailureDomain, guard, internalError } from '../../boundary.ts';
import { type Fields, fieldsFrom, NO_FIELDS } from './fields.ts';

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;

/** What is done about a stream's events. After `closed` there is none. An error of ours in one of them ends it. */
export interface StreamOwner extends FailureDomain {
  data(piece: Buffer): void;
  /** It can't pass on received bytes yet: the peer must not send more. */
  readonly keepsBody?: boolean;
  /** The peer has sent END_STREAM: its message is complete. A reset is no end. */
  ended(trailers: Fields): void;
  drained(): void;
  /** So many bytes came while the stream is not read: they lie in it, up to its window. */
  unread(bytes: number): void;
  /** Once: the stream was reset by the peer or by us, broke with its session, or both sides have ended. */
  closed(code: number): void;
}

/** What a piece costs beside its bytes. */
const PIECE_OVERHEAD_BYTES = 128;
/** A piece that waits is copied when the memory that it is a part of is larger by more than this. */
const PINNED_SHARE_MIN = 2;

const ignore = (): void => {};

export abstract class GuardedStream<S extends Http2Stream> {
  owner: StreamOwner;
  /** Called whenever the owner has got a piece and passed it on: the peer may send more. */
  taken: () => void = ignore;
  protected readonly stream: S;
  /** Of the owner that it has when an error happens. */
  protected readonly domain: FailureDomain = { where: 'visit', fail: () => this.owner.fail() };
  readonly #readsToEnd: boolean;
  readonly #tellClosed = guard(this.domain, () => this.#closed());
  readonly #tellEnded = guard(this.domain, () => this.#ended());
  #reads = false;
  #trailers: Fields = NO_FIELDS;
  #peerEnded = false;
  #toldClosed = false;

  /** `readsToEnd`: a complete message is still read after the stream has closed. Otherwise whoever closes it is gone. */
  constructor(stream: S, owner: StreamOwner, readsToEnd: boolean) {
    this.stream = stream;
    this.owner = owner;
    this.#readsToEnd = readsToEnd;
    // 'close' follows.
    stream.on('error', ignore);
    const drained = guard(this.domain, () => this.owner.drained());
    stream.on('drain', drained);
    stream.on('end', this.#tellEnded);
    stream.on('close', this.#tellClosed);
    const trailed = guard(this.domain, (headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
      this.#trailers = fieldsFrom(raw, headers);
    });
    stream.on('trailers', trailed);
    this.#watchEnd();
    // It may have been reset in the same piece of bytes that opened it.
    if (stream.closed) process.nextTick(this.#tellClosed);
  }

  /** Something can be said on it. */
  get isOpen(): boolean {
    return !this.stream.destroyed && !this.stream.closed;
  }

  /** Written bytes wait for the peer: `drained` follows. */
  get isFull(): boolean {
    return this.stream.writableNeedDrain;
  }

  /** Received bytes that were not read. */
  get unreadBytes(): number {
    return this.stream.readableLength;
  }

  /** From now on the owner gets the peer's bytes. */
  read(): void {
    const came = guard(this.domain, (piece: Buffer) => {
      if (this.#toldClosed || piece.length === 0) return;
      this.owner.data(piece);
      if (this.owner.keepsBody !== true) this.taken();
    });
    this.#reads = true;
    this.stream.on('data', came);
    // A body without a byte has ended already.
    if (this.stream.readableEnded) process.nextTick(this.#tellEnded);
  }

  pause(): void {
    this.stream.pause();
  }

  /** Also for bytes without a reader: they are dropped, so that the stream can close. */
  resume(): void {
    this.stream.resume();
  }

  /** False: wait for `drained`. */
  write(bytes: Buffer): boolean {
    if (!this.isOpen || this.stream.writableEnded) return true;
    try {
      return this.stream.write(bytes);
    } catch (error) {
      this.#failed(error);
      return true;
    }
  }

  end(): void {
    if (this.isOpen && !this.stream.writableEnded) this.attempt(() => this.stream.end());
  }

  /** Resets the stream so that the peer can't take what it has for the whole. */
  reset(code: number): void {
    if (!this.isOpen) return;
    // `close` ends the writable side first, and that END_STREAM would overtake the reset. Without this step it says nothing.
    this.stream._final = (done) => done();
    this.attempt(() => this.stream.close(code === NGHTTP2_NO_ERROR ? NGHTTP2_INTERNAL_ERROR : code));
  }

  /** The same, for a stream that can't go on. */
  breakOff(): void {
    this.stream.destroy(new Error('broken off'));
  }

  /** Makes a call of Node's API; what it throws ends this stream and nothing else. */
  protected attempt(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #failed(error: unknown): void {
    internalError('visit', error);
    this.stream.destroy(error instanceof Error ? error : new Error('broken off'));
  }

  /**
   * Node ends the readable side by `push(null)` at END_STREAM, and in the same way at a reset with NO_ERROR or when the session breaks;
   * but then the stream is `closed` already. A paused stream that was reset emits nothing else: not 'end', not 'close' and, when its
   * writable side has ended, not 'aborted'.
   */
  #watchEnd(): void {
    const { stream } = this;
    const { push } = stream;
    stream.push = (piece, encoding) => {
      if (piece === null) this.#pushedEnd();
      else if (stream.readableFlowing !== true && Buffer.isBuffer(piece)) return push.call(stream, this.#unread(piece));
      return push.call(stream, piece, encoding);
    };
  }

  /** A piece is a part of what the session has read at a time, and what lies here must not keep all of that. */
  #unread(piece: Buffer): Buffer {
    if (!this.#toldClosed) this.owner.unread(piece.length + PIECE_OVERHEAD_BYTES);
    return piece.length * PINNED_SHARE_MIN < piece.buffer.byteLength ? Buffer.from(piece) : piece;
  }

  #pushedEnd(): void {
    if (!this.stream.closed) this.#peerEnded = true;
    // Not on nghttp2's stack: what its owner does about it may end the session.
    else if (!(this.#readsToEnd && this.#peerEnded)) process.nextTick(this.#tellClosed);
  }

  #ended(): void {
    if (!this.#reads || this.#toldClosed || (this.stream.closed && !(this.#readsToEnd && this.#peerEnded))) return;
    this.owner.ended(this.#trailers);
  }

  #closed(): void {
    if (this.#toldClosed) return;
    this.#toldClosed = true;
    this.owner.closed(this.stream.rstCode ?? NGHTTP2_NO_ERROR);
    // Bytes in its buffer would keep it for ever.
    this.stream.destroy();
  }
}
