import { expect, test } from '@jest/globals';
import { TrustedProxies } from '../../../../src/node/clients/trusted-proxies.ts';
import { AddressLimit } from '../../../../src/node/listeners/address-limit.ts';

const limit = (max: number): AddressLimit => new AddressLimit(max, new TrustedProxies([{ address: '10.0.0.0', bits: 8 }]));

test.each([
  ['one address', '192.0.2.1', '192.0.2.1', false],
  ['two addresses', '192.0.2.1', '192.0.2.2', true],
  ['one network of IPv6, however it is written', '2001:db8::1', '2001:db8:0:0:ffff::2', false],
  ['two networks of IPv6', '2001:db8::1', '2001:db8:0:1::1', true],
  ['a trusted proxy', '10.1.2.3', '10.1.2.3', true],
])('%s', (_what, first, second, both) => {
  const addresses = limit(1);
  expect(addresses.reserve(first)).not.toBeNull();
  expect(addresses.reserve(second) !== null).toBe(both);
});

test('a release makes room for one', () => {
  const addresses = limit(2);
  const [release] = [addresses.reserve('192.0.2.1'), addresses.reserve('192.0.2.1')];
  expect(addresses.reserve('192.0.2.1')).toBeNull();
  release?.();
  expect(addresses.reserve('192.0.2.1')).not.toBeNull();
  expect(addresses.reserve('192.0.2.1')).toBeNull();
});
