/** Which headers a proxy looks at, and the bytes of heads without those that end here. */
import { Buffer } from 'node:buffer';
import { HEADERS_MAX } from './head-spans.ts';
import { spans } from './llhttp.ts';

/** The headers that mean something to a proxy. Everything else passes as it came. */
export type KnownHeader =
  | 'te'
  | 'date'
  | 'host'
  | 'expect'
  | 'upgrade'
  | 'trailer'
  | 'forwarded'
  | 'connection'
  | 'keep-alive'
  | 'tracestate'
  | 'traceparent'
  | 'x-request-id'
  | 'grpc-timeout'
  | 'authorization'
  | 'persistent-auth'
  | 'www-authenticate'
  | 'proxy-authenticate'
  | 'proxy-authorization'
  | 'content-length'
  | 'proxy-connection'
  | 'transfer-encoding'
  | 'pullproxy-concurrency'
  /** Any name that begins so. */
  | 'x-forwarded-'
  /** One of these with an underscore for a hyphen: applications that turn names into variables (CGI, WSGI) can't tell them apart. */
  | 'disguised';

const BY_LENGTH: readonly (readonly KnownHeader[])[] = [
  [],
  [],
  ['te'],
  [],
  ['host', 'date'],
  [],
  ['expect'],
  ['upgrade', 'trailer'],
  [],
  ['forwarded'],
  ['connection', 'keep-alive', 'tracestate'],
  ['traceparent'],
  ['x-request-id', 'grpc-timeout'],
  ['authorization'],
  ['content-length'],
  ['persistent-auth'],
  ['proxy-connection', 'www-authenticate'],
  ['transfer-encoding'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  [],
  ['pullproxy-concurrency'],
];
const NONE: readonly KnownHeader[] = [];
const FORWARDED_PREFIX = 'x-forwarded-';

type Likeness = 'same' | 'disguised' | 'other';

/** The known header at index `i` of the last parsed head, or null. Compares bytes: no string is made for other headers. */
export function knownHeader(bytes: Buffer, i: number): KnownHeader | null {
  const start = spans.headers[i * 4] as number;
  const length = (spans.headers[i * 4 + 1] as number) - start;
  for (const name of BY_LENGTH[length] ?? NONE) {
    const like = likeness(bytes, start, name);
    if (like !== 'other') return like === 'same' ? name : 'disguised';
  }
  const forwarded = length > FORWARDED_PREFIX.length && likeness(bytes, start, FORWARDED_PREFIX) !== 'other';
  return forwarded ? FORWARDED_PREFIX : null;
}

function likeness(bytes: Buffer, start: number, name: string): Likeness {
  let like: Likeness = 'same';
  for (let i = 0; i < name.length; i++) {
    // Setting bit 5 lower-cases letters and leaves the hyphen as it is. It makes 0x7f of an underscore, which no name contains.
    const byte = (bytes[start + i] as number) | 0x20;
    const wanted = name.charCodeAt(i);
    if (byte === wanted) continue;
    if (byte !== 0x7f || wanted !== 0x2d) return 'other';
    like = 'disguised';
  }
  return like;
}

/**
 * The value of header `i`, without the white space around it: spaces and tabs, and nothing else that some would also take for it.
 * `guess`: what it probably is; no string is made of what is guessed.
 */
export function headerValue(bytes: Buffer, i: number, guess = ''): string {
  const start = valueStart(bytes, i);
  const end = valueEnd(bytes, i, start);
  return isText(bytes, start, end, guess) ? guess : bytes.toString('latin1', start, end);
}

function valueStart(bytes: Buffer, i: number): number {
  let start = spans.headers[i * 4 + 2] as number;
  const end = spans.headers[i * 4 + 3] as number;
  while (start < end && isBlank(bytes[start])) start++;
  return start;
}

function valueEnd(bytes: Buffer, i: number, start: number): number {
  let end = spans.headers[i * 4 + 3] as number;
  while (end > start && isBlank(bytes[end - 1])) end--;
  return end;
}

function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

export function headerName(bytes: Buffer, i: number): string {
  return bytes.toString('latin1', spans.headers[i * 4] as number, spans.headers[i * 4 + 1] as number).toLowerCase();
}

/**
 * Whether the value of header `i`, a Transfer-Encoding, is chunked and nothing else: other codings have been understood differently by
 * different servers too often. Whatever our own parser does not take for it (a tab behind it) is none.
 */
export function isChunked(bytes: Buffer, i: number): boolean {
  return /^chunked *$/i.test(bytes.toString('latin1', spans.headers[i * 4 + 2] as number, spans.headers[i * 4 + 3] as number));
}

/** What nearly all lists consist of that have one member: nothing is made for them. */
const SINGLE_MEMBERS = new Map(
  ['keep-alive', 'Keep-Alive', 'close', 'Close', 'upgrade', 'Upgrade'].map((value) => [value, [value.toLowerCase()]]),
);

/** The members of a comma-separated list, lower-cased. */
export function listMembers(value: string): readonly string[] {
  const single = SINGLE_MEMBERS.get(value);
  if (single !== undefined) return single;
  return value
    .toLowerCase()
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

/**
 * Schemes that authenticate the connection, not the request (RFC 4559 section 6, MS-NTHT): after the handshake the application serves
 * that user whatever comes on the same connection.
 */
const BINDING_SCHEMES = /(?:^|,)[ \t]*(?:ntlm|negotiate|kerberos|nego2)(?![\w-])/i;
const LETTER_K = 0x6b;
const LETTER_N = 0x6e;

/** Whether header `i`, credentials, names such a scheme. No string is made of the usual Basic and Bearer. */
export function bindsConnection(bytes: Buffer, i: number): boolean {
  const first = (bytes[valueStart(bytes, i)] as number) | 0x20;
  return (first === LETTER_N || first === LETTER_K) && BINDING_SCHEMES.test(headerValue(bytes, i));
}

/** Whether header `i`, a list of challenges, names such a scheme. */
export function offersBinding(bytes: Buffer, i: number): boolean {
  return BINDING_SCHEMES.test(headerValue(bytes, i));
}

const CONTENT_LENGTH_DIGITS_MAX = 16;

/** The value of header `i`, a Content-Length: a whole, safe number of bytes; -1: malformed. */
export function contentLengthAt(bytes: Buffer, i: number): number {
  const start = valueStart(bytes, i);
  const end = valueEnd(bytes, i, start);
  if (start === end || end - start > CONTENT_LENGTH_DIGITS_MAX) return -1;
  let length = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return Number.isSafeInteger(length) ? length : -1;
}

const removed = new Uint8Array(HEADERS_MAX);

/** Marks headers of the last parsed head for removal; used within one synchronous rewrite. */
export const removal = {
  clear(): void {
    for (let i = 0; i < spans.count; i++) removed[i] = 0;
  },
  add(i: number): void {
    removed[i] = 1;
  },
  keep(i: number): void {
    removed[i] = 0;
  },
};

/**
 * A new head: `start`, then the bytes that came from offset `from` (in the start line, or where the headers begin) without the lines of
 * headers that are marked for removal, `added` (lines with their CRLF) and the empty line, followed by the `tailBytes` behind the head.
 */
export function assembleHead(
  bytes: Buffer,
  headBytes: number,
  start: string,
  from: number,
  added: Buffer | null,
  tailBytes: number,
): Buffer {
  const linesEnd = headBytes - 2;
  const out = Buffer.allocUnsafe(start.length + headBytes - from + (added === null ? 0 : added.length) + tailBytes);
  let at = start.length === 0 ? 0 : out.write(start, 0, 'latin1');
  let copied = from;
  for (let i = 0; i < spans.count; i++) {
    if (removed[i] !== 1) continue;
    const lineStart = spans.headers[i * 4] as number;
    if (lineStart > copied) at += bytes.copy(out, at, copied, lineStart);
    copied = i + 1 < spans.count ? (spans.headers[i * 4 + 4] as number) : linesEnd;
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
