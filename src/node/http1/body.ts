import type { Parser } from './llhttp.ts';

/** How a message's body ends (RFC 9112 section 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'until-close';

/** Follows one body and says where it ends; the bytes themselves are passed on as they came. */
export class Body {
  readonly framing: Framing;
  #remaining: number;
  #parser: Parser | null;
  #complete: boolean;

  /** Takes over `parser`: keeps it while a chunked body lasts, releases it otherwise. */
  constructor(framing: Framing, length: number, parser: Parser) {
    this.framing = framing;
    this.#remaining = length;
    this.#complete = framing === 'none' || (framing === 'length' && length === 0);
    if (framing === 'chunked') {
      parser.resume();
      this.#parser = parser;
    } else {
      parser.release();
      this.#parser = null;
    }
  }

  get complete(): boolean {
    return this.#complete;
  }

  /**
   * How many of the chunk's bytes belong to this body; the rest begins the next message. -1: malformed.
   * Of a chunked body the content without its framing is added to `contents`.
   */
  take(chunk: Buffer, contents: Buffer[] | null = null): number {
    if (this.#complete) return 0;
    if (this.framing === 'chunked') return this.#follow(chunk, contents);
    return this.count(chunk.length);
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
    const bytes = this.#parser.follow(chunk, contents);
    if (bytes >= 0) this.#complete = this.#parser.isComplete;
    if (bytes < 0 || this.#complete) this.release();
    return bytes;
  }
}
