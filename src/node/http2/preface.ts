/** The first bytes of a client that knows beforehand that HTTP/2 is spoken here (RFC 9113 section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Whether `bytes` are, or may become, the beginning of HTTP/2. */
export function beginsHttp2(bytes: Buffer): 'yes' | 'no' | 'perhaps' {
  const length = Math.min(bytes.length, PREFACE.length);
  if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) return 'no';
  return length === PREFACE.length ? 'yes' : 'perhaps';
}

/** Reads it, however it comes. */
export class PrefaceReader {
  #bytes = 0;

  get isWhole(): boolean {
    return this.#bytes === PREFACE.length;
  }

  /** Returns how many of the bytes belong to it; -1: it is none. */
  take(bytes: Buffer): number {
    const length = Math.min(bytes.length, PREFACE.length - this.#bytes);
    if (PREFACE.compare(bytes, 0, length, this.#bytes, this.#bytes + length) !== 0) return -1;
    this.#bytes += length;
    return length;
  }
}
