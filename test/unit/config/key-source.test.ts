import { describe, expect, test } from '@jest/globals';
import { isUrl, keyCheck, keyPatterns, keySource, matchesPattern } from '../../../src/config/key-source.ts';
import { parseRouteSettings, writeRouteSettings } from '../../../src/config/route-settings.ts';

test.each(['host', 'header:x-user', 'cookie:Session', 'path:1', 'path:8'])('key=%s is read and written', (text) => {
  const read = keySource.read(text);
  expect(read && keySource.write(read)).toBe(text);
});

test.each(['', 'client', 'path:0', 'path:9', 'path:', 'path:1.5', 'header:', 'header:a b', 'cookie:a;b', 'host:1', 7, null])(
  'key=%j is none',
  (value) => {
    expect(keySource.read(value)).toBeNull();
  },
);

describe('a pattern', () => {
  test.each([
    ['main', 'main', true],
    ['main', 'mains', false],
    ['feature-*', 'feature-', true],
    ['feature-*', 'feature-x-y', true],
    ['feature-*', 'afeature-x', false],
    ['*.preview.localhost', 'a.preview.localhost', true],
    ['*.preview.localhost', 'a.previewXlocalhost', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['pr-[0-9]*', 'pr-17', true],
    ['pr-[0-9]*', 'pr-x', false],
    ['[a-cx-]1', '-1', true],
    ['[a-cx-]1', 'd1', false],
    ['*a*b*c', 'xxaxxbxxbxc', true],
    ['*a*b*c', 'xxaxxcxxb', false],
  ])('%s for %s: %s', (pattern, key, expected) => {
    expect(matchesPattern(['nothing', pattern], key)).toBe(expected);
  });

  test('costs no more than its length, however it is written', () => {
    const patterns = keyPatterns.read([`${'*a'.repeat(60)}b`]) ?? [];
    const before = performance.now();
    for (let i = 0; i < 100; i++) expect(matchesPattern(patterns, 'a'.repeat(128))).toBe(false);
    expect(performance.now() - before).toBeLessThan(5_000);
  });

  test.each(['(a+)+', 'a|b', '[', '[]', 'a b', 'x'.repeat(129), ''])('is never %s', (pattern) => {
    expect(keyPatterns.read([pattern])).toBeNull();
  });
});

test('a check is a URL or a command', () => {
  const url = keyCheck.read('http://127.0.0.1:9000/keys/{key}') ?? [];
  expect([isUrl(url), keyCheck.write(url)]).toEqual([true, 'http://127.0.0.1:9000/keys/{key}']);
  const command = keyCheck.read(['/bin/check', '{key}']) ?? [];
  expect([isUrl(command), keyCheck.write(command)]).toEqual([false, '["/bin/check","{key}"]']);
  for (const none of ['ftp://a/', 'http://', '', [], 7]) expect(keyCheck.read(none)).toBeNull();
});

describe('the settings of a route', () => {
  test('keep keys as they are written', () => {
    const record = { key: 'path:2', maxKeys: 7, keyPattern: '["a*","b"]', keyCheck: 'http://127.0.0.1/{key}' };
    expect(writeRouteSettings(parseRouteSettings(record))).toMatchObject(record);
  });
  test.each([
    [{ key: 'host', minInstances: 1 }, 'minInstances 1: expected 0 together with key'],
    [{ keyPattern: 'a*' }, 'only together with key'],
    [{ keyCheck: 'http://127.0.0.1/' }, 'only together with key'],
  ])('refuse %j', (record, words) => {
    expect(() => parseRouteSettings(record)).toThrow(words);
  });
});
