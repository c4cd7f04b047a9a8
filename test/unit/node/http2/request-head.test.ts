import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Body } from '../../../../src/node/http1/body.ts';
import { nextRequest } from '../../../../src/node/http1/next-request.ts';
import { neverIndexed, withNeverIndexed } from '../../../../src/node/http2/fields.ts';
import { readHttp2Request } from '../../../../src/node/http2/request-head.ts';
import { chunkOf, lastChunk } from '../../../../src/node/http2/stream-body.ts';

const HEAD = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'app.test'];
const FROM = {
  origin: { address: '192.0.2.1', text: '' },
  proto: 'https',
  version: '2.0',
  additions: { via: true, traceparent: false },
} as const;

function read(fields: readonly string[], ended = true): ReturnType<typeof readHttp2Request> {
  return readHttp2Request(fields, ended, FROM, 4_096);
}

describe('a head of HTTP/2', () => {
  test.each([
    ['has a connection-specific field', [...HEAD, 'http2-settings', 'x']],
    ['has another Host than its authority', [...HEAD, 'host', 'other.test']],
    ['has two Hosts', [':method', 'GET', ':path', '/', 'host', 'a', 'host', 'a']],
    ['has no host at all', [':method', 'GET', ':scheme', 'http', ':path', '/']],
    ['has a host that is none', HEAD.with(7, "a'b")],
    ['has a fragment in its path', HEAD.with(5, '/a#b')],
    ['has a byte beyond ASCII in its path', HEAD.with(5, '/\xe4')],
    ['is a CONNECT', [':method', 'CONNECT', ':authority', 'app.test:443']],
    ['has the method that begins HTTP/2', HEAD.with(1, 'PRI')],
    ['has a method of more than a kilobyte', HEAD.with(1, 'M'.repeat(1_025))],
  ])('that %s is refused', (_what, fields) => {
    expect(() => read(fields)).toThrow(expect.objectContaining({ code: 'bad_request' }));
  });

  test.each([
    ['fields', Array.from({ length: 128 }, (_, i) => [`x-${i}`, '1']).flat()],
    ['bytes', ['x', 'x'.repeat(4_096)]],
  ])('that has too many %s is refused', (_what, fields) => {
    expect(() => read([...HEAD, ...fields])).toThrow(expect.objectContaining({ code: 'head_too_large' }));
  });

  test('is said in either protocol, and has the same facts in both', () => {
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const fields = ['cookie', 'a=1', 'te', 'Trailers', 'x-forwarded-for', '6.6.6.6', 'x-a', ' b ', 'cookie', 'c=2', 'traceparent', trace];
    const request = read([...HEAD, ...fields, 'x-request-id', 'mine']);
    const said = ['x-a', 'b', 'traceparent', trace, 'x-request-id', 'mine', 'cookie', 'a=1; c=2'];
    const added = ['x-forwarded-for', '192.0.2.1', 'x-forwarded-proto', 'https', 'x-forwarded-host', 'app.test', 'via', '2.0 pullproxy'];
    const [text, inFields] = [request.inText(), request.inFields()];
    const going = [...said, ...added, 'te', 'trailers'];
    expect(inFields.fieldsWith([])).toEqual([':method', 'GET', ':path', '/', ':scheme', 'https', ':authority', 'app.test', ...going]);
    const lines = going.map((word, i) => (i % 2 === 0 ? `${word}: ` : `${word}\r\n`)).join('');
    expect(text.bytes.toString()).toBe(`GET / HTTP/1.1\r\nHost: app.test\r\n${lines}\r\n`);
    expect(inFields.byteLength).toBe(text.byteLength);
    for (const head of [text, inFields]) {
      expect([head.target, head.method, head.host, head.traced]).toEqual(['/', 'GET', 'app.test', true]);
      expect([head.field('cookie'), head.field('host'), head.field('x-b')]).toEqual(['a=1; c=2', 'app.test', null]);
      head.overwrite('traceparent', 3, 'f'.repeat(32));
      expect(head.field('traceparent')).toBe(trace.replace('4bf92f3577b34da6a3ce929d0e0e4736', 'f'.repeat(32)));
    }
  });

  test('is said with what is left of its time', () => {
    const fields = read([...HEAD, 'grpc-timeout', '1S', 'x-a', 'b'])
      .inFields()
      .fieldsWith(['grpc-timeout', '900m']);
    expect(fields.filter((_, i) => fields[i - (i % 2)] === 'grpc-timeout')).toEqual(['grpc-timeout', '900m']);
    expect(fields).toContain('x-a');
  });

  test('keeps what no hop may keep in its table', () => {
    const never = withNeverIndexed([...HEAD, 'authorization', 'Basic x'], ['authorization']);
    expect(neverIndexed(read(never).inFields().fieldsWith([]))).toEqual(['authorization']);
  });

  test.each([
    [true, [], 'none', ''],
    [false, [], 'chunked', 'Transfer-Encoding: chunked\r\n'],
    [false, ['content-length', '3'], 'length', ''],
  ] as const)('whose body’s end is said %p with %p has a body that is framed by %s', (ended, fields, framing, line) => {
    const text = read([...HEAD, ...fields], ended).inText();
    expect(text.framing).toBe(framing);
    expect(text.bytes.toString()).toContain(`via: 2.0 pullproxy\r\n${line}\r\n`);
  });
});

test('chunks are read as they were written, in whatever pieces they come', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })), fc.integer({ min: 1, max: 50 }), (pieces, cut) => {
      const bytes = Buffer.concat([
        ...pieces.map((piece) => chunkOf(Buffer.from(piece))),
        lastChunk(['x-sum', '7', ':status', '1', 'content-length', '9']),
      ]);
      const next = nextRequest(Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'), 4_096, FROM);
      if (next.kind !== 'complete') throw new Error(next.kind);
      const body = next.body as Body;
      const contents: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += cut) body.take(bytes.subarray(at, at + cut), contents);
      expect(Buffer.concat(contents)).toEqual(Buffer.concat(pieces));
      expect([body.complete, body.trailers]).toEqual([true, ['x-sum', '7']]);
    }),
  );
});
