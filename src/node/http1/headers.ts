/** Which headers a proxy looks at, and the bytes of heads without those that end here. */
import { spans } from './llhttp.ts';

/** The headers that mean something to a proxy. Everything else passes as it came. */
export type KnownHeader =
  | 'te'
  | 'via'
  | 'host'
  | 'expect'
  | 'upgrade'
  | 'trailer'
  | 'forwarded'
  | 'connection'
  | 'keep-alive'
  | 'traceparent'
  | 'x-request-id'
  | 'content-length'
  | 'x-forwarded-for'
  | 'proxy-connection'
  | 'x-forwarded-host'
  | 'x-forwarded-proto'
  | 'transfer-encoding';

const BY_LENGTH: readonly (readonly KnownHeader[])[] = [
  [],
  [],
  ['te'],
  ['via'],
  ['host'],
  [],
  ['expect'],
  ['upgrade', 'trailer'],
  [],
  ['forwarded'],
  ['connection', 'keep-alive'],
  ['traceparent'],
  ['x-request-id'],
  [],
  ['content-length'],
  ['x-forwarded-for'],
  ['proxy-connection', 'x-forwarded-host'],
  ['x-forwarded-proto', 'transfer-encoding'],
];

/** The known header at index `i` of the last parsed head, or null. Compares bytes: no string is made for a header that nobody asks about. */
export function knownHeader(bytes: Buffer, i: number): KnownHeader | null {
  const start = spans.headers[i * 4] as number;
  const end = spans.headers[i * 4 + 1] as number;
  const candidates = BY_LENGTH[end - start];
  if (candidates === undefined) return null;
  for (const name of candidates) if (sameName(bytes, start, name)) return name;
  return null;
}

function sameName(bytes: Buffer, start: number, name: string): boolean {
  // Setting bit 5 lower-cases letters and leaves the hyphen as it is.
  for (let i = 0; i < name.length; i++) if (((bytes[start + i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  return true;
}

/** The value of header `i`, without white space around it. */
export function headerValue(bytes: Buffer, i: number): string {
  return bytes.toString('latin1', spans.headers[i * 4 + 2] as number, spans.headers[i * 4 + 3] as number).trim();
}

export function headerName(bytes: Buffer, i: number): string {
  return bytes.toString('latin1', spans.headers[i * 4] as number, spans.headers[i * 4 + 1] as number).toLowerCase();
}

/** The members of a comma-separated list, lower-cased. */
export function listMembers(value: string): string[] {
  return value
    .toLowerCase()
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

const removed = new Uint8Array(256);

/** Marks headers of the last parsed head for removal; used within one synchronous rewrite. */
export const removal = {
  clear(): void {
    removed.fill(0, 0, spans.count);
  },
  add(i: number): void {
    removed[i] = 1;
  },
  keep(i: number): void {
    removed[i] = 0;
  },
  has(i: number): boolean {
    return removed[i] === 1;
  },
};

/**
 * A new head: `start` (the start line with its CRLF), the header lines that are not marked for removal as the bytes that
 * came, `added` (lines with their CRLF) and the empty line, followed by `tail`.
 */
export function assembleHead(bytes: Buffer, headBytes: number, start: string, added: string, tail: Buffer | null): Buffer {
  const first = spans.count === 0 ? headBytes - 2 : (spans.headers[0] as number);
  const linesEnd = headBytes - 2;
  const tailBytes = tail === null ? 0 : tail.length;
  const out = Buffer.allocUnsafe(start.length + (linesEnd - first) + added.length + 2 + tailBytes);
  let at = out.write(start, 0, 'latin1');
  let from = first;
  for (let i = 0; i < spans.count; i++) {
    if (removed[i] !== 1) continue;
    const lineStart = spans.headers[i * 4] as number;
    if (lineStart > from) at += bytes.copy(out, at, from, lineStart);
    from = i + 1 < spans.count ? (spans.headers[i * 4 + 4] as number) : linesEnd;
  }
  if (linesEnd > from) at += bytes.copy(out, at, from, linesEnd);
  at += out.write(added, at, 'latin1');
  out[at++] = 13;
  out[at++] = 10;
  if (tail !== null) at += tail.copy(out, at);
  return at === out.length ? out : out.subarray(0, at);
}
