import assert from 'node:assert';
import { PullproxyError } from '../../../src/errors.ts';
import { parserCounts } from '../../../src/node/http1/head/llhttp.ts';
import type { TextHead } from '../../../src/node/http1/head/request-head.ts';
import { type NextRequest, nextRequest } from '../../../src/node/http1/next-request.ts';
import { ApplicationResponse } from '../../../src/node/http1/response.ts';
import { AMBIGUOUS } from '../../support/ambiguous-requests.ts';
import { latin1, piecesOf, type Target } from '../target.ts';

const HEAD_BYTES_MAX = 4_096;
const WORDS = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  'Host: ',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: ',
  'chunked',
  'identity',
  'Connection: ',
  'close',
  'keep-alive',
  'Upgrade: h2c\r\n',
  'HTTP/1.0',
  'HTTP/1.1',
  'http://other.test',
  'Expect: 100-continue\r\n',
  'X-Forwarded-For: 192.0.2.1\r\n',
  'Forwarded: for="[2001:db8::1]";proto=https\r\n',
  'Forwarded: for=_x, for=192.0.2.1;host=a\r\n',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n',
];

const PROXIES = { has: (address: string): boolean => address.startsWith('10.') };

function read(bytes: Buffer, trusted: boolean): NextRequest {
  const proxies = trusted ? PROXIES : undefined;
  return nextRequest(bytes, HEAD_BYTES_MAX, { origin: { address: '192.0.2.7', text: '' }, proto: 'http', proxies });
}

/** A head that goes on has one meaning, told plainly: what an application of any kind reads is what was decided here. */
function assertPlain(head: TextHead): void {
  assert(/^[\da-f.:]+$/i.test(head.client), 'its client has an address');
  const text = head.bytes.toString('latin1');
  assert(text.endsWith('\r\n\r\n'), 'the head ends');
  assert.equal(text.indexOf('\r\n\r\n'), text.length - 4, 'one head');
  const [start = '', ...lines] = text.slice(0, -4).split('\r\n');
  assert.match(start, /^[!-~]+ [^\s#]+ HTTP\/1\.1$/);
  assert(!/[\r\n\0]/.test(lines.join('') + start), 'no CR, LF or NUL is left over');
  const named = (name: string): string[] =>
    lines.filter((line) => line.toLowerCase().startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  for (const line of lines) assert.match(line, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/, `a header: ${JSON.stringify(line)}`);
  assert.equal(named('host').length, 1, 'one Host');
  const lengths = named('content-length');
  const codings = named('transfer-encoding');
  assert(lengths.length + codings.length <= 1, 'one framing at most');
  for (const coding of codings) assert.equal(coding.toLowerCase(), 'chunked');
  for (const length of lengths) assert.equal(Number(length), head.contentLength);
  assert.equal(head.framing, codings.length > 0 ? 'chunked' : head.contentLength > 0 ? 'length' : 'none');
  assert(named('via').length >= 1 && named('x-forwarded-for').length === 1 && named('x-request-id').length === 1);
}

function runRequest(bytes: Buffer): void {
  for (const trusted of [false, true]) {
    const next = read(bytes, trusted);
    if (next.kind === 'refused') assert(next.error instanceof PullproxyError);
    if (next.kind !== 'complete') continue;
    assert(next.bytes <= bytes.length && next.bytes <= HEAD_BYTES_MAX);
    assertPlain(next.head);
    next.body.take(bytes.subarray(next.bytes));
    next.body.release();
    // Another one of us behind this one reads the same.
    const again = nextRequest(next.head.bytes, 65_536, { origin: { address: '192.0.2.8', text: '' }, proto: 'http' });
    assert.equal(again.kind, 'complete');
    if (again.kind !== 'complete') return;
    again.body.release();
    const { method, host, framing, contentLength } = again.head;
    assert.deepEqual(
      { method, host, framing, contentLength },
      { method: next.head.method, host: next.head.host, framing: next.head.framing, contentLength: next.head.contentLength },
    );
  }
  assert.equal(parserCounts().alive, parserCounts().pooled, 'no parser is lost');
}

const REQUEST = nextRequest(latin1('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'), HEAD_BYTES_MAX, {
  origin: { address: '::1', text: '' },
  proto: 'http',
});

/** What a client gets of an application's bytes in these pieces, and how it ended. */
function responseOf(pieces: readonly Buffer[]): string {
  assert(REQUEST.kind === 'complete');
  const answer = new ApplicationResponse(REQUEST.head);
  let text = '';
  for (const piece of pieces) {
    for (let rest: Buffer | null = piece; rest !== null && answer.state !== 'complete' && answer.state !== 'tunnel'; ) {
      const taken = answer.take(rest, false, true);
      if (taken === null) {
        answer.release();
        // Where it was found out depends on the pieces; that nothing whole was given out does not.
        return `malformed ${answer.status}`;
      }
      text += taken.bytes?.toString('latin1') ?? '';
      rest = taken.rest;
    }
  }
  const closes = answer.endsByClose();
  answer.release();
  // A second may pass between the two.
  const timeless = text.replace(/\r\nDate: \w{3}, [\w :]+ GMT\r\n/g, '\r\nDate:\r\n');
  return JSON.stringify([answer.state, answer.status, closes, timeless]);
}

function runAnswer(bytes: Buffer): void {
  const whole = responseOf([bytes]);
  const pieces = responseOf(piecesOf(bytes));
  if (!whole.startsWith('malformed') || !pieces.startsWith('malformed')) assert.equal(pieces, whole);
  assert.equal(parserCounts().alive, parserCounts().pooled + 0, 'no parser is lost');
}

if (REQUEST.kind === 'complete') REQUEST.body.release();

export const REQUEST_HEAD: Target = {
  name: 'request-head',
  sources: ['/src/node/http1/'],
  words: WORDS,
  seeds: [
    ...AMBIGUOUS.map(([, text]) => latin1(text)),
    latin1('GET / HTTP/1.1\r\nHost: app.test\r\nForwarded: for=192.0.2.1;proto=https\r\nConnection: x-a\r\nX-A: b\r\n\r\n'),
    latin1('POST http://other.test:80/a?b HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'),
    latin1('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'),
  ],
  run: runRequest,
};

export const RESPONSE_HEAD: Target = {
  name: 'response-head',
  sources: ['/src/node/http1/'],
  words: WORDS,
  seeds: [
    latin1('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'),
    latin1('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n'),
    latin1('HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello'),
    latin1('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'),
  ],
  run: runAnswer,
};
