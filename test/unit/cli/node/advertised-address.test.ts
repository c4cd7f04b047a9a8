import { expect, test } from '@jest/globals';
import { advertisedHost } from '../../../../src/cli/node/advertised-address.ts';

test('an address that is bound is the one that others reach', async () => {
  expect(await advertisedHost('10.1.2.3', 'redis://redis.example.com')).toBe('10.1.2.3');
});

test('bound to all addresses: the own one on the way to Redis', async () => {
  expect(await advertisedHost('0.0.0.0', 'redis://127.0.0.1:6379')).toBe('127.0.0.1');
  expect(await advertisedHost('::', 'rediss://:secret@127.0.0.2,redis://127.0.0.3')).toMatch(/^127\.0\.0\./);
});

test('alone there is nobody else', async () => {
  expect(await advertisedHost('0.0.0.0', undefined)).toBe('127.0.0.1');
});

test('without a way to Redis some address is found all the same', async () => {
  expect(await advertisedHost('0.0.0.0', 'redis://name.invalid:1')).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
});
