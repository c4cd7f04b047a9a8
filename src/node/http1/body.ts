import type { Parser } from './head/llhttp.ts';
import { TrailerSection } from './trailers.ts';

/**
 * A sender may send single bytes as chunks, and chunk extensions; not endless lines that nobody ever reads. Each piece of content forgives
 * some bytes of framing, as in Go's net/http, and so many more are tolerated.
 */
const FRAMING_BYTES_PER_PIECE = 16;
const FRAMING_BYTES_PER_CONTENT_BYTE = 2;
const FRAMING_EXCESS_BYTES_MAX = 16_384;

/** How a message's body ends (RFC 9112 section 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'until-close';

/** The facts about the client's body that an exchange needs. */
export interface RequestBody {
  readonly complete: boolean;
  take(chunk: Buffer): number;
  passable(chunk: Buffer, taken: number): Buffer;
  release(): void;
}

/** The same of all requests that have none: one that is held takes no memory for it. */
export const NO_BODY: RequestBody = Object.freeze({
  complete: true,
  take: () => 0,
  passable: (chunk: Buffer, taken: number) => chunk.subarray(0, taken),
  release: () => {},
});

/** Follows one body and says where it ends. Its bytes pass as they came, except for trailers. */
export class Body implements RequestBody {
  readonly framing: Framing;
  #remaining: number;
  #parser: Parser | null;
  #complete: boolean;
  /** Bytes of chunk framing beyond what the content forgives. */
  #framingExcess = 0;
  readonly #message: 'request' | 'response';
  #trailers: TrailerSection | null = null;
  /** Where the trailers begin in the piece that was taken last. */
  #trailerAt = 0;

  /** `parser`: of the message's head. While a chunked body lasts it belongs to the body. */
  constructor(framing: Framing, length: number, parser: Parser) {
    this.framing = framing;
    this.#message = parser.message;
    this.#remaining = length;
    this.#complete = framing === 'none' || (framing === 'length' && length === 0);
    if (framing === 'chunked') {
      parser.resume();
      this.#parser = parser;
    } else this.#parser = null;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /**
   * How many of the chunk's bytes belong to this body; the rest begins the next message. -1: malformed.
   * The content of a chunked body, without its framing, is added to `contents`.
   */
  take(chunk: Buffer, contents: Buffer[] | null = null): number {
    if (this.#complete) return 0;
    if (this.framing === 'chunked') return this.#follow(chunk, contents);
    return this.count(chunk.length);
  }

  /** The trailer section has begun: bytes do not pass as they came any longer. */
  get hasTrailers(): boolean {
    return this.#trailers !== null;
  }

  /** The trailers of a body that was taken without its framing, once it is complete: names and values. */
  get trailers(): readonly string[] {
    return this.#trailers?.fields(this.#message) ?? [];
  }

  /** The application's word about its limit in its trailers; null: there is none. */
  get said(): string | null {
    return this.#trailers?.said ?? null;
  }

  /**
   * The bytes that go on when `taken` bytes of `chunk` were taken. They are the same bytes, except for trailers: these are held back
   * until the section is complete, and go on without the fields that have no place there.
   */
  passable(chunk: Buffer, taken: number): Buffer {
    const trailers = this.#trailers;
    if (trailers === null) return taken === chunk.length ? chunk : chunk.subarray(0, taken);
    const before = chunk.subarray(0, this.#trailerAt);
    return this.#complete ? Buffer.concat([before, trailers.allowed(this.#message)]) : before;
  }

  /** Where the body ends can be told by counting: its bytes need not be looked at. */
  get isCounted(): boolean {
    return this.framing !== 'chunked';
  }

  /** The same as `take` for `bytes` of a body that is counted. */
  count(bytes: number): number {
    if (this.framing === 'until-close' && !this.#complete) return bytes;
    const taken = Math.min(bytes, this.#remaining);
    this.#remaining -= taken;
    this.#complete = this.#remaining === 0;
    return taken;
  }

  /** The sender closed its connection: is that a legal end here? */
  endsByClose(): boolean {
    if (this.framing !== 'until-close') return this.#complete;
    this.#complete = true;
    return true;
  }

  /** Gives the parser back; the body is followed no longer. */
  release(): void {
    this.#parser?.release();
    this.#parser = null;
  }

  #follow(chunk: Buffer, contents: Buffer[] | null): number {
    // Malformed once is malformed for ever.
    if (this.#parser === null) return -1;
    let bytes = this.#parser.follow(chunk, contents);
    if (bytes >= 0) {
      this.#complete = this.#parser.isComplete;
      const inBounds = this.#addTrailers(chunk, bytes, this.#parser.trailerAt) && this.#countFraming(bytes, this.#parser);
      if (!inBounds) bytes = -1;
    }
    if (bytes < 0 || this.#complete) this.release();
    return bytes;
  }

  /** Returns false when there is too much of it. */
  #countFraming(bytes: number, { contentBytes, contentPieces }: Parser): boolean {
    // They have a bound of their own.
    if (this.#trailers !== null) return true;
    const forgiven = contentBytes * FRAMING_BYTES_PER_CONTENT_BYTE + contentPieces * FRAMING_BYTES_PER_PIECE;
    this.#framingExcess = Math.max(0, this.#framingExcess + bytes - contentBytes - forgiven);
    return this.#framingExcess <= FRAMING_EXCESS_BYTES_MAX;
  }

  /** Returns false when there are too many of them. */
  #addTrailers(chunk: Buffer, taken: number, trailerAt: number): boolean {
    if (this.#trailers !== null) {
      this.#trailerAt = 0;
    } else {
      if (trailerAt === -1) return true;
      this.#trailers = new TrailerSection();
      this.#trailerAt = trailerAt;
    }
    return this.#trailers.add(chunk.subarray(this.#trailerAt, taken));
  }
}
