import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readProxyHeader, V2_REST_BYTES_MAX } from '../../../../src/node/listeners/proxy-header.ts';
import { proxyV2 } from '../../../support/proxy-v2.ts';

const IPV4 = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80]);
const IPV6 = Buffer.from(`20010db8${'0'.repeat(23)}1${'0'.repeat(31)}1${'12340050'}`, 'hex');
const OF_IPV4 = { address: '192.0.2.7', port: 4660, toAddress: '127.0.0.1', toPort: 80 };
const OF_IPV6 = { address: '2001:db8::1', port: 4660, toAddress: '::1', toPort: 80 };

function v1(text: string) {
  return readProxyHeader('v1', Buffer.from(text, 'latin1'));
}

describe('a PROXY header of version 1', () => {
  test.each([
    ['PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n', OF_IPV4],
    ['PROXY TCP6 2001:db8::1 ::1 4660 80\r\n', OF_IPV6],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n', null],
  ])('%j names %j', (text, client) => {
    expect(v1(`${text}GET /`)).toEqual({ kind: 'complete', bytes: text.length, client });
    for (let length = 0; length < text.length; length++) expect(v1(text.slice(0, length)).kind).toBe('incomplete');
  });

  test.each([
    'GET / HTTP/1.1\r\n\r\n',
    'PROXY TCP4 2001:db8::1 ::1 1 2\r\n',
    'PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n',
    'PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n',
    'PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n',
    'PROXY TCP4 192.0.2.7 127.0.0.1 01 2\r\n',
    'PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n',
    'PROXY TCP4 192.0.2.300 127.0.0.1 1 2\r\n',
    'PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n',
    'proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}`,
  ])('%j is none', (text) => {
    expect(v1(text).kind).toBe('malformed');
  });
});

describe('a PROXY header of version 2', () => {
  test.each([
    ['an IPv4 client', proxyV2(0x21, 0x11, IPV4), OF_IPV4],
    ['an IPv6 client', proxyV2(0x21, 0x21, IPV6), OF_IPV6],
    ['a client with more said about it', proxyV2(0x21, 0x11, Buffer.concat([IPV4, Buffer.from('040001ff', 'hex')])), OF_IPV4],
    ['nobody, where the proxy speaks for itself', proxyV2(0x20, 0x00), null],
    ['nobody, for a socket of UNIX', proxyV2(0x21, 0x31, Buffer.alloc(216)), null],
  ])('names %s', (_what, header, client) => {
    const all = Buffer.concat([header, Buffer.from('GET /')]);
    expect(readProxyHeader('v2', all)).toEqual({ kind: 'complete', bytes: header.length, client });
    for (let length = 0; length < header.length; length++) expect(readProxyHeader('v2', all.subarray(0, length)).kind).toBe('incomplete');
  });

  test.each([
    ['another version', proxyV2(0x11, 0x11, IPV4)],
    ['an unknown command', proxyV2(0x22, 0x11, IPV4)],
    ['too few bytes for IPv4', proxyV2(0x21, 0x11, IPV4.subarray(1))],
    ['too few bytes for IPv6', proxyV2(0x21, 0x21, IPV4)],
    ['more bytes than anybody needs', proxyV2(0x21, 0x11, Buffer.alloc(V2_REST_BYTES_MAX + 1))],
    ['version 1', Buffer.from('PROXY UNKNOWN\r\n')],
  ])('is none with %s', (_what, bytes) => {
    expect(readProxyHeader('v2', bytes).kind).toBe('malformed');
  });
});

test.each(['v1', 'v2'] as const)('whatever bytes come, %s says one of three things about them', (version) => {
  const start = version === 'v1' ? Buffer.from('PROXY TCP') : proxyV2(0x21, 0x11, IPV4).subarray(0, 12);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, begun) => {
      const header = readProxyHeader(version, begun ? Buffer.concat([start, bytes]) : Buffer.from(bytes));
      expect(['complete', 'incomplete', 'malformed']).toContain(header.kind);
    }),
  );
});
