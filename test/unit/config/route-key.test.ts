import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isKey, isServedName, keyedName, nameParts, SLUG_CHARS_MAX, slugOf } from '../../../src/config/route-key.ts';
import { secretsFor } from '../../../src/config/secret-file.ts';

describe('a key', () => {
  test.each(['alice', 'Alice_2', 'pr-17', 'feature-1.preview.localhost', 'a@example.com', 'x'.repeat(128)])('may be %s', (key) => {
    expect(isKey(key)).toBe(true);
  });
  test.each(['', '-rf', '.', '..', 'a/b', 'a b', 'a~b', '$(id)', 'a;b', 'é', 'a\n', '{x}', 'a:b', '%41', 'x'.repeat(129)])(
    'is never %j: it becomes an argument, a word of a shell and the name of a file',
    (key) => {
      expect(isKey(key)).toBe(false);
    },
  );
});

describe('the name of a key', () => {
  test('is its route and it, and no host is called so', () => {
    expect(keyedName('*.example.com', 'a=1')).toBe('*.example.com~a=1');
    expect(nameParts('*.example.com~a=1')).toEqual({ route: '*.example.com', key: 'a=1' });
    expect(nameParts('app.example.com')).toEqual({ route: 'app.example.com', key: null });
  });
  test.each(['app.example.com', 'app.example.com~a', '*~A'])('%s is one that can be served', (name) => {
    expect(isServedName(name)).toBe(true);
  });
  test.each(['App.example.com~a', 'app.example.com~', '~a', 'app~a~b', 'app~{a}', 'app~a b', 7, null])('%j is none', (name) => {
    expect(isServedName(name)).toBe(false);
  });
});

test('a key that ends like a host has the secrets of its own route, not those of that host', () => {
  const entries = [
    { secret: 'one', routes: ['*.victim.example'] },
    { secret: 'two', routes: ['shop.example'] },
  ];
  expect(secretsFor(entries, 'shop.example~a.victim.example')).toEqual(['two']);
});

describe('a slug', () => {
  test.each([
    ['shop', 'shop'],
    ['shop~alice', 'shop-alice'],
    ['shop~pr-17', 'shop-pr-17'],
  ])('of %s is %s: nothing had to be changed', (name, slug) => {
    expect(slugOf(name)).toBe(slug);
  });

  test.each([
    ['shop~Alice', /^shop-alice-[a-z2-7]{12}$/],
    ['app.example.com', /^app-example-com-[a-z2-7]{12}$/],
    ['my-shop~alice', /^my-shop-alice-[a-z2-7]{12}$/],
    ['*', /^[a-z2-7]{12}$/],
    ['*.preview.localhost~feature-1.preview.localhost', /^preview-local-feature-1-pre-[a-z2-7]{12}$/],
  ])('of %s ends with a hash', (name, expected) => {
    expect(slugOf(name)).toMatch(expected);
  });

  test('is the same for no two names, whatever they are, and always fits', () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
    const key = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@+=-]{0,30}$/);
    const name = fc.oneof(
      label,
      fc.tuple(label, key).map(([route, one]) => keyedName(route, one)),
      fc.constantFrom('a-b~c', 'a~b-c', 'a~b.c', 'a~B-C', 'shop~alice-abcdefghijkl', 'shop~abcdefghijkl'),
    );
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 30 }), (names) => {
        const slugs = names.map(slugOf);
        expect(new Set(slugs).size).toBe(names.length);
        for (const slug of slugs) expect(slug).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
        expect(Math.max(...slugs.map(({ length }) => length))).toBeLessThanOrEqual(SLUG_CHARS_MAX);
      }),
      { numRuns: 500 },
    );
    expect(slugOf(`shop~${slugOf('shop~Alice').slice('shop-'.length)}`)).not.toBe(slugOf('shop~Alice'));
  });
});
