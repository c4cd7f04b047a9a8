/** What clients send that could be understood in two ways, or not at all. */
import { AMBIGUOUS } from '../../support/ambiguous-requests.ts';

export interface RequestCase {
  readonly what: string;
  readonly bytes: string;
  /** What pullproxy does, in the table's words. */
  readonly expected: string;
}

const HOST = 'Host: app.test\r\n';
const CHUNKED = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
const HEAD_BYTES = 16_384;

function chunks(body: string): string {
  return CHUNKED + body;
}

const CHUNK_CASES: readonly (readonly [string, string, string?])[] = [
  ['a chunk size that is no number', chunks('z\r\nhello\r\n0\r\n\r\n')],
  ['a negative chunk size', chunks('-5\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size with 0x', chunks('0x5\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size of 68 bits', chunks('10000000000000005\r\nhello\r\n0\r\n\r\n')],
  ['a space behind the chunk size', chunks('5 \r\nhello\r\n0\r\n\r\n')],
  ['a chunk size that ends with LF', chunks('5\nhello\r\n0\r\n\r\n')],
  ['a chunk without its CRLF', chunks('5\r\nhello0\r\n\r\n')],
  ['a chunk that ends with LF', chunks('5\r\nhello\n0\r\n\r\n')],
  ['a last chunk that ends with LF', chunks('5\r\nhello\r\n0\n\n')],
  ['a chunk extension', chunks('5;name=value\r\nhello\r\n0\r\n\r\n'), '→ POST / (chunked)'],
  ['a chunk extension in quotes', chunks('5;name="a;b"\r\nhello\r\n0\r\n\r\n'), '→ POST / (chunked)'],
  ['a chunk extension with a LF', chunks('5;a\nb\r\nhello\r\n0\r\n\r\n')],
  ['a chunk extension with a NUL', chunks('5;a\0b\r\nhello\r\n0\r\n\r\n')],
  ['a trailer', chunks('5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'), '→ POST / (chunked)'],
  ['a trailer that is folded', chunks('5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n')],
  ['a trailer with a space in front of its colon', chunks('5\r\nhello\r\n0\r\nX-Sum : 1\r\n\r\n')],
];

const FORM_CASES: readonly (readonly [string, string, string?])[] = [
  ['an absolute target with another Host', `GET http://other.test/a HTTP/1.1\r\n${HOST}\r\n`, '→ GET /a (Host: other.test)'],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`, '→ TRACE /'],
  [
    'Upgrade: h2c',
    `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n`,
    '→ GET /',
  ],
  ['TE: trailers, chunked', `GET / HTTP/1.1\r\n${HOST}TE: trailers, chunked\r\n\r\n`, '→ GET /'],
  ['Connection: Host', `GET / HTTP/1.1\r\n${HOST}Connection: Host\r\n\r\n`, '→ GET /'],
  ['Connection: Content-Length', `POST / HTTP/1.1\r\n${HOST}Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello`, '→ POST /'],
  ['Transfer_Encoding: chunked', `POST / HTTP/1.1\r\n${HOST}Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello`, '→ POST /'],
  ['a head of one header that is too large', `GET / HTTP/1.1\r\n${HOST}X-A: ${'a'.repeat(HEAD_BYTES)}\r\n\r\n`, '431'],
  ['a head of many headers that is too large', `GET / HTTP/1.1\r\n${HOST}${`X-B: ${'b'.repeat(250)}\r\n`.repeat(80)}\r\n`, '431'],
  ['a target that is too long', `GET /${'a'.repeat(HEAD_BYTES)} HTTP/1.1\r\n${HOST}\r\n`, '431'],
  ['200 headers', `GET / HTTP/1.1\r\n${HOST}${'X-B: b\r\n'.repeat(199)}\r\n`, '431'],
  ['HTTP/2 without TLS', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'closed'],
  ['a TLS handshake', '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n', '400'],
];

export const REQUEST_CASES: readonly RequestCase[] = [...AMBIGUOUS, ...CHUNK_CASES, ...FORM_CASES].map(([what, bytes, expected]) => ({
  what,
  bytes,
  expected: expected ?? '400',
}));
