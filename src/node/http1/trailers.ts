/** The trailer section of a chunked body (RFC 9112 section 7.1.2), and the fields that have no place in trailers. */

/** A longer trailer section makes the message malformed. */
export const TRAILER_BYTES_MAX = 16_384;

/**
 * RFC 9110 section 6.5.1: a field that is used for framing, routing, authentication, request modifiers, response control or for
 * processing the content must not be sent in trailers. An application that merges trailers into the head would believe them.
 */
const FORBIDDEN: ReadonlySet<string> = new Set([
  // Framing and the connection.
  'connection',
  'content-length',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Authentication and state.
  'authorization',
  'cookie',
  'proxy-authenticate',
  'proxy-authorization',
  'set-cookie',
  'www-authenticate',
  // Routing, request modifiers.
  'cache-control',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'max-forwards',
  'pragma',
  'range',
  // Response control data.
  'age',
  'date',
  'expires',
  'location',
  'retry-after',
  'vary',
  'warning',
  // How the content is to be processed.
  'content-encoding',
  'content-range',
  'content-type',
]);
/** An application says by it how many requests it takes: its linker hears it, no client does. */
export const CONCURRENCY_FIELD = 'pullproxy-concurrency';
/** Proxies say these of a request in its head. In a response they are the application's own. */
const FORBIDDEN_IN_REQUESTS: ReadonlySet<string> = new Set(['forwarded', 'traceparent', 'tracestate', 'via', 'x-real-ip', 'x-request-id']);
const FORBIDDEN_IN_REQUESTS_PREFIX = 'x-forwarded-';

/** Whether a field of this name, in lower case, is dropped from trailers. A CGI or WSGI application can't tell `_` from `-`. */
export function isForbiddenTrailer(name: string, message: 'request' | 'response'): boolean {
  const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
  if (FORBIDDEN.has(plain)) return true;
  if (message === 'response') return plain === CONCURRENCY_FIELD;
  return FORBIDDEN_IN_REQUESTS.has(plain) || plain.startsWith(FORBIDDEN_IN_REQUESTS_PREFIX);
}

/** Collects one trailer section, which may come in many pieces. The parser has found it well-formed. */
export class TrailerSection {
  /** The application's word about its limit in it; null: there is none. */
  said: string | null = null;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  /** Returns false when the section is too long. */
  add(piece: Buffer): boolean {
    this.#bytes += piece.length;
    if (this.#bytes > TRAILER_BYTES_MAX) return false;
    // Single bytes would cost an object each.
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.length < TRAILER_BYTES_MAX / 16) this.#pieces[this.#pieces.length - 1] = Buffer.concat([last, piece]);
    else this.#pieces.push(Buffer.from(piece));
    return true;
  }

  /** The lines of fields that may go on, with the empty line that ends the message. */
  allowed(message: 'request' | 'response'): Buffer {
    const lines = this.#allowed(message).map(({ line }) => `${line}\r\n`);
    return Buffer.from(`${lines.join('')}\r\n`, 'latin1');
  }

  /** Names, in lower case, and values of the fields that may go on. */
  fields(message: 'request' | 'response'): string[] {
    return this.#allowed(message).flatMap(({ name, line }) => [name, line.slice(name.length + 1).trim()]);
  }

  #allowed(message: 'request' | 'response'): { name: string; line: string }[] {
    const allowed: { name: string; line: string }[] = [];
    // A line that begins with a blank continues the field before it (obs-fold, RFC 9112 section 5.2).
    const lines = Buffer.concat(this.#pieces)
      .toString('latin1')
      .replace(/\r\n[ \t]+/g, ' ')
      .split('\r\n');
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      const name = line.slice(0, colon).toLowerCase();
      if (name === CONCURRENCY_FIELD) this.#say(line.slice(colon + 1).trim());
      if (!isForbiddenTrailer(name, message)) allowed.push({ name, line });
    }
    return allowed;
  }

  #say(value: string): void {
    this.said = this.said === null ? value : `${this.said}, ${value}`;
  }
}
