import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clientText } from '../../../src/link/client-ends.ts';
import { proxyHeader } from '../../../src/linker/proxy-header.ts';
import { readProxyHeader } from '../../../src/node/listeners/proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const IPV4 = '192.0.2.7 4660 127.0.0.1 80';
const IPV6 = '2001:db8::7 65535 ::1 443';

describe('the header that an application reads first', () => {
  test.each([
    ['version 1, IPv4', 'v1', IPV4, Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n').toString('hex')],
    ['version 1, IPv6', 'v1', IPV6, Buffer.from('PROXY TCP6 2001:db8::7 ::1 65535 443\r\n').toString('hex')],
    ['version 1, nobody', 'v1', '', Buffer.from('PROXY UNKNOWN\r\n').toString('hex')],
    ['version 2, IPv4', 'v2', IPV4, `${SIGNATURE}2111000c${'c0000207'}${'7f000001'}${'1234'}${'0050'}`],
    ['version 2, IPv6', 'v2', IPV6, `${SIGNATURE}21210024${'20010db8000000000000000000000007'}${'00'.repeat(15)}01${'ffff'}${'01bb'}`],
    ['version 2, nobody', 'v2', '', `${SIGNATURE}20000000`],
  ] as const)('is that of the specification: %s', (_what, version, client, hex) => {
    expect(proxyHeader(version, client).toString('hex')).toBe(hex);
  });

  test.each(['v1', 'v2'] as const)('says of any client what a reader of %s understands', (version) => {
    const port = fc.integer({ min: 0, max: 65_535 });
    const ends = (address: fc.Arbitrary<string>) => fc.record({ address, port, toAddress: address, toPort: port });
    fc.assert(
      fc.property(fc.oneof(ends(fc.ipV4()), ends(fc.ipV6())), (client) => {
        const header = proxyHeader(version, clientText(client));
        const plain = (text: string): string => (text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
        const read = readProxyHeader(version, header);
        expect(read).toMatchObject({ kind: 'complete', bytes: header.length, client: { port: client.port, toPort: client.toPort } });
        if (read.kind !== 'complete' || read.client === null) throw new Error('no client');
        expect([read.client.address, read.client.toAddress].map(plain)).toEqual([client.address, client.toAddress].map(plain));
      }),
    );
  });
});
