import { describe, expect, test } from '@jest/globals';
import { TrustedProxies } from '../../../../../src/node/clients/trusted-proxies.ts';
import { Forwarding } from '../../../../../src/node/http1/head/forwarding.ts';

const PROXIES = new TrustedProxies([
  { address: '10.0.0.0', bits: 8 },
  { address: 'fd00::', bits: 8 },
]);
const PEER = '10.0.0.1';

function of(headers: readonly (readonly [string, string])[]): Forwarding {
  const forwarding = new Forwarding(PROXIES);
  for (const [name, value] of headers) forwarding.note(name, value);
  return forwarding;
}

describe('the client of a request through trusted proxies', () => {
  test.each([
    ['the only address', '192.0.2.1', '192.0.2.1'],
    ['the last that is no proxy’s: a client may have written those before', '1.2.3.4, 192.0.2.1, 10.9.9.9', '192.0.2.1'],
    ['with a port', '192.0.2.1:4711', '192.0.2.1'],
    ['of IPv6', '2001:db8::7', '2001:db8::7'],
    ['of IPv6 in brackets, with a port', '[2001:db8::7]:4711, fd00::1', '2001:db8::7'],
    ['of IPv4 in IPv6', '::ffff:192.0.2.1', '192.0.2.1'],
    ['the first proxy, when there are only proxies', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['the proxy that sent it, when it says none', 'unknown', PEER],
    ['the proxy before what is no address', '192.0.2.1, <script>, 10.0.0.2', '10.0.0.2'],
    ['the proxy that sent it, when the list is empty', '', PEER],
  ])('is %s', (_what, list, client) => {
    expect(of([['x-forwarded-for', list]]).client(PEER)).toBe(client);
  });

  test.each([
    ['for=192.0.2.1', '192.0.2.1'],
    ['for=1.2.3.4, For="192.0.2.1:80";by=x, for=10.1.1.1', '192.0.2.1'],
    ['proto=https;for="[2001:db8::7]:4711"', '2001:db8::7'],
    ['for="a\\", for=1.2.3.4", for=192.0.2.1', '192.0.2.1'],
    ['for=_hidden', PEER],
    ['for', PEER],
    ['"', PEER],
  ])('is said by Forwarded: %s', (value, client) => {
    expect(of([['forwarded', value]]).client(PEER)).toBe(client);
  });

  test('is that of X-Forwarded-For, where both are said', () => {
    const both = [
      ['forwarded', 'for=192.0.2.9'],
      ['x-forwarded-for', '192.0.2.1'],
    ] as const;
    expect(of(both).client(PEER)).toBe('192.0.2.1');
  });

  test('takes no time to speak of in a long list', () => {
    const began = performance.now();
    of([['x-forwarded-for', '10.0.0.2,'.repeat(100_000)]]).client(PEER);
    of([['forwarded', 'for="\\"'.repeat(20_000)]]).client(PEER);
    of([['forwarded', 'for=10.0.0.2;;;,'.repeat(20_000)]]).client(PEER);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

describe('the scheme', () => {
  test.each([
    [[['x-forwarded-proto', 'HTTPS, http']], 'https'],
    [[['forwarded', 'for=192.0.2.1;proto=https, for=10.0.0.2;proto=http']], 'https'],
    [[['forwarded', 'for=192.0.2.1;Proto="HTTPS"']], 'https'],
    [
      [
        ['forwarded', 'proto=https'],
        ['x-forwarded-proto', 'http'],
      ],
      'http',
    ],
    [[['forwarded', 'for=192.0.2.1']], undefined],
  ] as const)('of %j is %s', (headers, proto) => {
    expect(of(headers).proto).toBe(proto);
  });

  test.each([
    ['proto=https', 'https'],
    ['proto=http', 'http'],
    ['proto="x\\"y"', 'http'],
  ])('of Forwarded: %s is told the application, too', (value, proto) => {
    const lines = of([['forwarded', value]]).with({ origin: { address: PEER, text: '' }, proto: 'http' }, 'app.test').lines;
    expect(lines).toContain(`X-Forwarded-Proto: ${proto}\r\n`);
  });
});
