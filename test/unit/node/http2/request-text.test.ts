import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Dechunker } from '../../../../src/node/http2/dechunker.ts';
import { chunkOf, lastChunk, requestText } from '../../../../src/node/http2/request-text.ts';

const HEAD = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'app.test'];

describe('a head of HTTP/2 that can’t be said in HTTP/1.1', () => {
  test.each([
    ['names a connection', [...HEAD, 'connection', 'close']],
    ['frames itself', [...HEAD, 'transfer-encoding', 'chunked']],
    ['upgrades', [...HEAD, 'upgrade', 'websocket']],
    ['has a line break in a header', [...HEAD, 'x', 'a\r\nb: c']],
    ['has a NUL in a header', [...HEAD, 'x', 'a\0']],
    ['has another Host than its authority', [...HEAD, 'host', 'other.test']],
    ['has two Hosts', [':method', 'GET', ':path', '/', 'host', 'a', 'host', 'a']],
    ['has a space in its path', [':method', 'GET', ':path', '/a b', ':authority', 'app.test']],
    ['has an absolute path', [':method', 'GET', ':path', 'http://x/', ':authority', 'app.test']],
    ['is a CONNECT', [':method', 'CONNECT', ':authority', 'app.test:443']],
  ])('because it %s is refused', (_what, fields) => {
    expect(() => requestText(fields, true)).toThrow(expect.objectContaining({ code: 'bad_request' }));
  });
});

test.each([
  [true, [], 'none', ''],
  [false, [], 'chunked', 'Transfer-Encoding: chunked\r\n'],
  [false, ['content-length', '3'], 'length', 'content-length: 3\r\n'],
] as const)('a body whose end is said %p with %p is framed by %s', (ended, fields, framing, line) => {
  const text = requestText([...HEAD, ...fields], ended);
  expect([text.framing, text.bytes.toString()]).toEqual([framing, `GET / HTTP/1.1\r\nHost: app.test\r\n${line}\r\n`]);
});

test('chunks are read as they were written, in whatever pieces they come', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })), fc.integer({ min: 1, max: 50 }), (pieces, cut) => {
      const bytes = Buffer.concat([
        ...pieces.map((piece) => chunkOf(Buffer.from(piece))),
        lastChunk(['x-sum', '7', ':status', '1', 'content-length', '9']),
      ]);
      const reader = new Dechunker();
      const contents: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += cut) contents.push(...reader.take(bytes.subarray(at, at + cut)));
      expect(Buffer.concat(contents)).toEqual(Buffer.concat(pieces));
      expect([reader.complete, reader.trailers]).toEqual([true, ['x-sum', '7']]);
    }),
  );
});
