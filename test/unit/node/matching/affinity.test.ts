import { describe, expect, test } from '@jest/globals';
import { affinitySource } from '../../../../src/config/queue-sources.ts';
import { parseRouteSettings } from '../../../../src/config/route-settings.ts';
import { Affinity } from '../../../../src/node/matching/affinity.ts';
import { HeldQueue, HeldTally } from '../../../../src/node/matching/held-queue.ts';
import type { ClientWord } from '../../../../src/node/matching/queue-rules.ts';
import type { Visit } from '../../../../src/node/matching/visit.ts';
import type { Wish } from '../../../../src/node/matching/wish.ts';

function affinity(source: string, instances: readonly string[] = [], here: readonly string[] = []): Affinity {
  const made = new Affinity(
    'app.test',
    affinitySource.read(source) as NonNullable<ReturnType<typeof affinitySource.read>>,
    100,
    (waitMs, discipline) => new HeldQueue<Visit>(waitMs, new HeldTally(), () => {}, discipline),
  );
  made.ready(
    instances.map((id) => ({ id, node: 'n1' })),
    here,
    0,
  );
  return made;
}

function word(headers: Record<string, string> = {}, address = '192.0.2.7'): ClientWord {
  return { address, isTrusted: false, method: 'GET', target: '/', header: (name) => headers[name] ?? '' };
}

function found(one: Affinity, said: ClientWord): string | null {
  return one.find(one.wishOf(said));
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `i${i}`);
/** Value → instance. */
const places = (one: Affinity, values: readonly string[]): Map<string, string | null> =>
  new Map(values.map((value) => [value, found(one, word({ 'x-user': value }))]));

describe('the instance of a value', () => {
  const users = Array.from({ length: 2_000 }, (_, i) => `user-${i}`);

  test('is the same at nodes that heard of the instances in another order', () => {
    const one = places(affinity('header:X-User', names(9)), users);
    expect(places(affinity('header:X-User', names(9).reverse()), users)).toEqual(one);
  });

  test('is each instance for about the same number of values', () => {
    const counts = Map.groupBy(places(affinity('header:X-User', names(8)), users).values(), (id) => id);
    expect(counts.size).toBe(8);
    for (const { length } of counts.values()) expect(Math.abs(length - 250)).toBeLessThan(80);
  });

  test('is another one for no more than their share when an instance comes or leaves', () => {
    const before = places(affinity('header:X-User', names(8)), users);
    const more = places(affinity('header:X-User', names(9)), users);
    const moved = users.filter((user) => before.get(user) !== more.get(user));
    expect(moved.every((user) => more.get(user) === 'i8')).toBe(true);
    expect(moved.length).toBeLessThan(2_000 / 9 + 80);
    const one = affinity('header:X-User', names(9));
    one.forget('i8');
    expect(places(one, users)).toEqual(before);
  });

  test.each<[string, string, ClientWord, ClientWord]>([
    ['cookies beside it', 'cookie:sid', word({ cookie: 'sid=a' }), word({ cookie: 'x=1; sid=a; y=2' })],
    ['later cookies with its name', 'cookie:sid', word({ cookie: 'sid=a' }), word({ cookie: 'sid=a; sid=b' })],
    ['the interface of an IPv6 client', 'client', word({}, '2001:db8::1'), word({}, '2001:db8::ffff')],
  ])('does not depend on %s', (_what, source, a, b) => {
    const one = affinity(source, names(50));
    expect(found(one, a)).toBe(found(one, b));
    expect(found(one, a)).not.toBeNull();
  });

  test.each<[string, string, ClientWord]>([
    ['says nothing', 'header:X-User', word()],
    ['has no such cookie', 'cookie:sid', word({ cookie: 'SID=a; sid' })],
    ['has an empty cookie', 'cookie:sid', word({ cookie: 'sid=' })],
    ['says more than a browser keeps', 'cookie:sid', word({ cookie: `sid=${'x'.repeat(4_097)}` })],
  ])('is none for a request that %s', (_what, source, said) => {
    expect(found(affinity(source, names(3)), said)).toBeNull();
  });

  test('is none while no instance is ready', () => {
    const one = affinity('header:X-User');
    const wish = one.wishOf(word({ 'x-user': 'a' }));
    expect([one.find(wish), one.resultOf(wish, 'i1')]).toEqual([null, null]);
  });
});

describe('a cookie of pullproxy', () => {
  const wished = (one: Affinity, said: ClientWord): Wish => {
    const wish = one.wishOf(said);
    wish.instance = one.find(wish);
    return wish;
  };
  const given = (one: Affinity, instance: string, isHttps = false): string => one.cookieLine(wished(one, word()), instance, isHttps);
  const pair = (line: string): string => /: ([^;]+)/.exec(line)?.[1] ?? '';

  test('names the instance for one who does not know its id, and says no more than it must', () => {
    const one = affinity('set-cookie', names(3));
    expect(given(one, 'i1')).toMatch(/^Set-Cookie: pullproxy-[0-9a-f]{8}=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax\r\n$/);
    expect(given(one, 'i1', true)).toMatch(/; SameSite=Lax; Secure\r\n$/);
    expect(new Set(names(3).map((id) => given(one, id))).size).toBe(3);
    expect(given(one, 'i1')).not.toContain('i1');
  });

  test('is the same at every node, and one of another route means nothing', () => {
    const cookie = pair(given(affinity('set-cookie', names(3)), 'i2'));
    expect(found(affinity('set-cookie', names(3).reverse()), word({ cookie }))).toBe('i2');
    const other = new Affinity('other.test', { from: 'set-cookie' }, 1, () => new HeldQueue<Visit>(1, new HeldTally(), () => {}));
    other.ready([{ id: 'i2', node: 'n1' }], [], 0);
    expect(found(other, word({ cookie }))).toBeNull();
  });

  test('is said again only when another instance serves', () => {
    const one = affinity('set-cookie', names(3));
    const cookie = pair(given(one, 'i1'));
    expect(one.cookieLine(wished(one, word({ cookie })), 'i1', false)).toBe('');
    expect(pair(one.cookieLine(wished(one, word({ cookie })), 'i2', false))).toBe(pair(given(one, 'i2')));
    expect(affinity('header:X-User', names(3)).cookieLine(wished(one, word()), 'i1', false)).toBe('');
  });

  test('counts while its instance lends here, also before the directory knows it, and not once that has left', () => {
    const one = affinity('set-cookie', ['i1'], ['i9']);
    const cookie = pair(given(one, 'i9'));
    expect(found(one, word({ cookie }))).toBe('i9');
    one.ready([{ id: 'i1', node: 'n1' }], [], 1);
    const wish = one.wishOf(word({ cookie }));
    expect([one.find(wish), one.resultOf(wish, 'i1')]).toEqual([null, 'gone']);
  });

  test('of those that are said several times the first that names an instance counts, of a few', () => {
    const one = affinity('set-cookie', names(3));
    const [name] = pair(given(one, 'i1')).split('=');
    const cookie = `${name}=x; ${pair(given(one, 'i1'))}; ${pair(given(one, 'i2'))}`;
    expect(found(one, word({ cookie }))).toBe('i1');
    expect(found(one, word({ cookie: `${`${name}=x; `.repeat(8)}${cookie}` }))).toBeNull();
  });
});

test('what the directory said counts for a while', () => {
  const one = affinity('client');
  expect([one.isFresh(2_999), one.isFresh(3_000)]).toEqual([true, false]);
});

describe('the setting', () => {
  test.each(['client', 'set-cookie', 'cookie:sid', 'header:x-user'])('%s is read and written', (text) => {
    const { affinity: source } = parseRouteSettings({ affinity: text, affinityWait: '250ms' });
    expect(affinitySource.write(source as NonNullable<typeof source>)).toBe(text);
  });

  test.each([
    ['no source of it', { affinity: 'rfc9218' }, 'cookie:NAME, header:NAME, client, set-cookie'],
    ['a name that can be none', { affinity: 'cookie:a b' }, 'cookie:NAME'],
    ['a longer wait than a client should have', { affinity: 'client', affinityWait: '61s' }, 'from 0s to 1m'],
    ['a cookie where there are none', { affinity: 'set-cookie', protocol: 'tcp' }, 'client, since TCP has neither headers nor cookies'],
  ])('%s is refused in words', (_what, record, words) => {
    expect(() => parseRouteSettings(record)).toThrow(words);
  });
});
