import { Buffer } from 'node:buffer';
import { isBlank, type KnownHeader, knownHeader } from './headers.ts';

/** A head with more headers is not read. Applications send more than clients do: nginx and HAProxy pass hundreds of Set-Cookie. */
export const HEADERS_MAX = 1_024;
/** There is memory for so many from the beginning, and it grows. */
const HEADERS_AT_FIRST = 64;
/** Five numbers for each header: name start, name end, value start, value end, and whether its line goes on. */
const NUMBERS = 5;
const REMOVED = 4;
const CONTENT_LENGTH_DIGITS_MAX = 16;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** The fields of a head of any protocol, as they are judged. */
export interface FieldLines {
  readonly count: number;
  known(i: number): KnownHeader | null;
  /** In lower case. */
  name(i: number): string;
  /** Without the white space around it. `guess`: what it probably is; no string is made of what is guessed. */
  value(i: number, guess?: string): string;
  isChunked(i: number): boolean;
  /** As a whole, safe number of bytes; -1: malformed. */
  contentLength(i: number): number;
  /** It does not go on. */
  remove(i: number): void;
}

/** The lines of one head, by their places in the bytes that were parsed. A value is copied only when it is asked for. */
export class HeadLines implements FieldLines {
  /** The bytes that were parsed. */
  bytes = NO_BYTES;
  count = 0;
  tooMany = false;
  urlStart = 0;
  urlEnd = 0;
  status = 0;
  #places = new Int32Array(HEADERS_AT_FIRST * NUMBERS);
  #lastWasName = false;

  clear(bytes: Buffer = NO_BYTES): void {
    this.bytes = bytes;
    this.count = 0;
    this.tooMany = false;
    this.urlStart = this.urlEnd = 0;
    this.#lastWasName = false;
    if (this.#places.length > HEADERS_AT_FIRST * NUMBERS) this.#places = new Int32Array(HEADERS_AT_FIRST * NUMBERS);
  }

  // ── for the parser ──

  addUrl(at: number, length: number): void {
    if (this.urlEnd === 0) this.urlStart = at;
    this.urlEnd = at + length;
  }

  /** A parser may report one name or value in several pieces; they lie side by side. */
  addName(at: number, length: number): void {
    let i = this.count * NUMBERS;
    if (this.#lastWasName && this.#places[i - NUMBERS + 1] === at) {
      this.#places[i - NUMBERS + 1] = at + length;
      return;
    }
    if (this.count === HEADERS_MAX) {
      this.tooMany = true;
      return;
    }
    if (i === this.#places.length) this.#grow();
    const places = this.#places;
    places[i++] = at;
    places[i++] = at + length;
    places[i++] = at + length;
    places[i++] = at + length;
    places[i] = 0;
    this.count++;
    this.#lastWasName = true;
  }

  addValue(at: number, length: number): void {
    const i = (this.count - 1) * NUMBERS;
    if (i < 0 || this.tooMany) return;
    if (this.#lastWasName) this.#places[i + 2] = at;
    this.#places[i + 3] = at + length;
    this.#lastWasName = false;
  }

  #grow(): void {
    const grown = new Int32Array(this.#places.length * 2);
    grown.set(this.#places);
    this.#places = grown;
  }

  // ── for readers ──

  known(i: number): KnownHeader | null {
    const start = this.#place(i, 0);
    return knownHeader(this.bytes, start, this.#place(i, 1) - start);
  }

  name(i: number): string {
    return this.bytes.toString('latin1', this.#place(i, 0), this.#place(i, 1)).toLowerCase();
  }

  /** White space is spaces and tabs, and nothing else that some would also take for it. */
  value(i: number, guess = ''): string {
    const start = this.#valueStart(i);
    const end = this.#valueEnd(i, start);
    return this.#isText(start, end, guess) ? guess : this.bytes.toString('latin1', start, end);
  }

  /**
   * Whether the value, of a Transfer-Encoding, is chunked and nothing else: other codings have been understood differently by different
   * servers too often. Whatever our own parser does not take for it (a tab behind it) is none.
   */
  isChunked(i: number): boolean {
    return /^chunked *$/i.test(this.bytes.toString('latin1', this.#place(i, 2), this.#place(i, 3)));
  }

  contentLength(i: number): number {
    const start = this.#valueStart(i);
    const end = this.#valueEnd(i, start);
    if (start === end || end - start > CONTENT_LENGTH_DIGITS_MAX) return -1;
    let length = 0;
    for (let at = start; at < end; at++) {
      const digit = (this.bytes[at] as number) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      length = length * 10 + digit;
    }
    return Number.isSafeInteger(length) ? length : -1;
  }

  remove(i: number): void {
    this.#places[i * NUMBERS + REMOVED] = 1;
  }

  #place(i: number, which: number): number {
    return this.#places[i * NUMBERS + which] as number;
  }

  #valueStart(i: number): number {
    let start = this.#place(i, 2);
    const end = this.#place(i, 3);
    while (start < end && isBlank(this.bytes[start])) start++;
    return start;
  }

  #valueEnd(i: number, start: number): number {
    let end = this.#place(i, 3);
    while (end > start && isBlank(this.bytes[end - 1])) end--;
    return end;
  }

  #isText(start: number, end: number, text: string): boolean {
    if (end - start !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  // ── the head that goes on ──

  /** As names and values. What is folded into several lines is one. */
  fields(): string[] {
    const fields: string[] = [];
    for (let i = 0; i < this.count; i++) {
      if (this.#place(i, REMOVED) === 0) fields.push(this.name(i), this.value(i).replace(/[\r\n\0]+/g, ' '));
    }
    return fields;
  }

  /** Where the header lines begin. */
  startOf(headBytes: number): number {
    return this.count === 0 ? headBytes - 2 : this.#place(0, 0);
  }

  /**
   * A new head: `start`, then the bytes that came from offset `from` (in the start line, or where the headers begin) without the lines that
   * were removed, `added` (lines with their CRLF) and the empty line, followed by the `tailBytes` behind the head.
   */
  assemble(headBytes: number, start: string, from: number, added: Buffer | null, tailBytes: number): Buffer {
    const { bytes, count } = this;
    const linesEnd = headBytes - 2;
    const out = Buffer.allocUnsafe(start.length + headBytes - from + (added === null ? 0 : added.length) + tailBytes);
    let at = start.length === 0 ? 0 : out.write(start, 0, 'latin1');
    let copied = from;
    for (let i = 0; i < count; i++) {
      if (this.#place(i, REMOVED) !== 1) continue;
      const lineStart = this.#place(i, 0);
      if (lineStart > copied) at += bytes.copy(out, at, copied, lineStart);
      copied = i + 1 < count ? this.#place(i + 1, 0) : linesEnd;
    }
    if (added !== null) {
      if (linesEnd > copied) at += bytes.copy(out, at, copied, linesEnd);
      at += added.copy(out, at);
      copied = linesEnd;
    }
    const emptyLineAt = at + linesEnd - copied;
    at += bytes.copy(out, at, copied, headBytes + tailBytes);
    out[emptyLineAt] = 13;
    out[emptyLineAt + 1] = 10;
    return at === out.length ? out : out.subarray(0, at);
  }
}
