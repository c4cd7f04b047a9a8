/**
 * Finds `Pullproxy-Concurrency` in the head of a response of HTTP/1, as its bytes come from the application. The linker reads this one field
 * itself: the limit counts from the moment at which the response arrives here, also when the node that waits for it is slow, or is killed. What
 * a response says in its trailers, or in HTTP/2, the nodes read.
 *
 * Nothing behind the head is looked at. Heads of any form pass: whether a response is well-formed is the node's to judge.
 */

export const CONCURRENCY_FIELD = 'pullproxy-concurrency';

const NAME = Buffer.from(CONCURRENCY_FIELD);
const VERSION = Buffer.from('HTTP/');
/** Offset of the status in a status line. */
const STATUS_AT = 'HTTP/1.1 '.length;
/** The longest head that is kept while it comes in parts. Nodes refuse a longer one, too. */
const PART_BYTES_MAX = 65_536;
const VALUE_BYTES_MAX = 64;
const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const DIGIT_ONE = 0x31;
/** An ASCII letter and this: the small letter. */
const SMALL = 0x20;
const SMALL_P = 0x70;

export class ResponseHead {
  #isReading = false;
  /** The bytes that have come of a head that is not complete. */
  #part: Buffer | null = null;
  /** The field in the head that is being read. */
  #field: string | null = null;
  #word: string | null = null;

  /** A response is about to come. */
  begin(): void {
    this.#isReading = true;
    this.#part = null;
    this.#word = null;
  }

  /** Bytes of the response. Returns the field's value once the head is complete; null: it has none, or is not complete. */
  take(chunk: Buffer): string | null {
    if (!this.#isReading) return null;
    const part = this.#part;
    const bytes = part === null ? chunk : Buffer.concat([part, chunk]);
    this.#part = null;
    let at = 0;
    while (this.#isReading) {
      while (bytes[at] === CR || bytes[at] === LF) at++;
      const next = this.#readHead(bytes, at);
      if (next === -1) {
        this.#keep(bytes, at);
        return null;
      }
      // Another response follows an interim one (RFC 9110 section 15.2), but for the one that ends HTTP.
      this.#word = this.#field ?? this.#word;
      this.#isReading = bytes[at + STATUS_AT] === DIGIT_ONE && bytes[at + STATUS_AT + 2] !== DIGIT_ONE;
      at = next;
    }
    return this.#word;
  }

  #keep(bytes: Buffer, at: number): void {
    if (bytes.length - at > PART_BYTES_MAX || !mayBeHttp(bytes, at)) this.#isReading = false;
    else this.#part = Buffer.from(bytes.subarray(at));
  }

  /** Returns where the head that begins at `at` ends; -1: it does not end here. */
  #readHead(bytes: Buffer, at: number): number {
    if (!mayBeHttp(bytes, at)) return -1;
    const end = bytes.length;
    this.#field = null;
    for (let i = at; i < end; i++) {
      const first = bytes[i] as number;
      if (first === LF) return i + 1;
      if (first === CR && bytes[i + 1] === LF) return i + 2;
      if ((first | SMALL) === SMALL_P) this.#readField(bytes, i);
      while (i < end && bytes[i] !== LF) i++;
    }
    return -1;
  }

  /** Several fields are put together as RFC 9110 section 5.3 says. */
  #readField(bytes: Buffer, at: number): void {
    for (let i = 0; i < NAME.length; i++) if (((bytes[at + i] ?? 0) | SMALL) !== NAME[i]) return;
    if (bytes[at + NAME.length] !== COLON) return;
    const from = at + NAME.length + 1;
    const lineEnd = bytes.indexOf(LF, from);
    // It comes again with the rest of its line.
    if (lineEnd === -1) return;
    const value = bytes.toString('latin1', from, Math.min(lineEnd, from + VALUE_BYTES_MAX)).trim();
    this.#field = this.#field === null ? value : `${this.#field}, ${value}`;
  }
}

/** As far as it has come. */
function mayBeHttp(bytes: Buffer, at: number): boolean {
  for (let i = 0; i < VERSION.length && at + i < bytes.length; i++) if (bytes[at + i] !== VERSION[i]) return false;
  return true;
}
