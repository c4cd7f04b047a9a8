import { describe, expect, test } from '@jest/globals';
import { type Holder, PLACE_LIVES_MS, Places } from '../../../../src/node/http1/places.ts';

const SECRET = 'a secret that nodes share';
const HOLDER: Holder = { route: 'app.test', address: '192.0.2.1', userAgent: 'a browser' };
const NOW = 1_700_000_000_000;
const places = (...secrets: string[]): Places => new Places(() => secrets);

describe('a place in the line', () => {
  test('is the same at another node, and after the secret was changed', () => {
    const place = places(SECRET).begin(NOW - 30_000);
    const token = places(SECRET).write(place, HOLDER, NOW);
    expect(place.arrival).toBe(NOW - 30_000);
    expect(places(SECRET).read(token, HOLDER, NOW + 1_000)).toEqual(place);
    expect(places('the new one, of 24 chars', SECRET).read(token, HOLDER, NOW)).toEqual(place);
    expect(places('another secret of others').read(token, HOLDER, NOW)).toBeNull();
  });

  test('ends', () => {
    const token = places(SECRET).write(places(SECRET).begin(NOW), HOLDER, NOW);
    expect(places(SECRET).read(token, HOLDER, NOW + PLACE_LIVES_MS)).not.toBeNull();
    expect(places(SECRET).read(token, HOLDER, NOW + PLACE_LIVES_MS + 1)).toBeNull();
  });

  test.each<[string, Partial<Holder>]>([
    ['in another line', { route: 'other.test' }],
    ['from another address', { address: '192.0.2.2' }],
    ['by another browser', { userAgent: 'b browser' }],
  ])('is worth nothing %s', (_where, changed) => {
    const token = places(SECRET).write(places(SECRET).begin(NOW), HOLDER, NOW);
    expect(places(SECRET).read(token, { ...HOLDER, ...changed }, NOW)).toBeNull();
  });

  test('can not be made older, younger, longer or somebody else’s: any other character is refused', () => {
    const token = places(SECRET).write(places(SECRET).begin(NOW - 5_000), HOLDER, NOW);
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === '1' ? '2' : '1';
      expect([at, places(SECRET).read(token.slice(0, at) + other + token.slice(at + 1), HOLDER, NOW)]).toEqual([at, null]);
    }
    for (const text of ['', '.', '...', 'a'.repeat(100_000), `${token}.`, ` ${token}`, token.toUpperCase()]) {
      expect(places(SECRET).read(text, HOLDER, NOW)).toBeNull();
    }
  });

  test('is signed with a key of the process where the secret could be guessed', () => {
    for (const secret of ['', 'short']) {
      const own = places(secret);
      const token = own.write(own.begin(NOW), HOLDER, NOW);
      expect(own.read(token, HOLDER, NOW)).not.toBeNull();
      expect(places(secret).read(token, HOLDER, NOW)).toBeNull();
    }
  });

  test('is no older than an hour', () => {
    const token = places(SECRET).write(places(SECRET).begin(NOW - 3_600_001), HOLDER, NOW);
    expect(places(SECRET).read(token, HOLDER, NOW)).toBeNull();
  });
});
