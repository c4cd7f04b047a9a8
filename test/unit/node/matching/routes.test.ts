import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DEFAULT_ROUTE_SETTINGS, type RouteSettings } from '../../../../src/config/route-settings.ts';
import { HeldTally } from '../../../../src/node/matching/held-queue.ts';
import { Routes } from '../../../../src/node/matching/routes.ts';
import { lender, StandInVisit } from '../../../support/harness/stand-ins.ts';

const MEMORY_MS = 60_000;

function routesAt(): { routes: Routes; clock: { now: number } } {
  const clock = { now: 0 };
  return {
    routes: new Routes(DEFAULT_ROUTE_SETTINGS, new HeldTally(), { expired() {}, rematch() {} }, { now: () => clock.now }),
    clock,
  };
}

function configured(...names: string[]): Map<string, RouteSettings> {
  return new Map(names.map((name) => [name, { ...DEFAULT_ROUTE_SETTINGS, holdTimeoutMs: 1_234 }]));
}

describe('a host belongs to', () => {
  test.each([
    ['a.example.com', 'a.example.com'],
    ['b.example.com', '*.example.com'],
    ['c.b.example.com', '*.b.example.com'],
    ['d.c.b.example.com', '*.b.example.com'],
    ['example.com', '*'],
    ['example.org', '*'],
    ['localhost', '*'],
    ['127.0.0.1', '*'],
    ['[::1]', '*'],
    ['', '*'],
  ])('%s: the exact route, else the longest wildcard, else the one for all: %s', (host, name) => {
    const { routes } = routesAt();
    routes.configure(configured('*', '*.example.com', '*.b.example.com', 'a.example.com'));
    expect(routes.match(host)?.name).toBe(name);
  });

  test('nothing when no route is above it', () => {
    const { routes } = routesAt();
    routes.configure(configured('*.example.com', 'a.example.org'));
    expect(['example.com', 'a.example.net', '', '[::1]'].map((host) => routes.match(host))).toEqual([null, null, null, null]);
  });

  test('what a plain search says', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const host = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
    const name = fc.oneof(
      host,
      host.map((below) => `*.${below}`),
      fc.constant('*'),
    );
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), fc.array(host, { maxLength: 8 }), (names, hosts) => {
        const { routes } = routesAt();
        routes.configure(configured(...names));
        for (const one of hosts) expect(routes.match(one)?.name ?? null).toBe(searched(one, names));
      }),
    );
  });
});

describe('the names to look up for a host', () => {
  test('are those under which a linker may serve it, most specific first', () => {
    const { routes } = routesAt();
    expect(routes.candidates('a.b.example.com')).toEqual(['a.b.example.com', '*.b.example.com', '*.example.com', '*.com', '*']);
    expect(routes.candidates('localhost')).toEqual(['localhost', '*']);
    expect(routes.candidates('[::1]')).toEqual(['*']);
    expect(routes.candidates('')).toEqual(['*']);
    expect(routes.candidates('.com')).toEqual(['*.com', '*']);
  });

  test('are few, of however many labels the host is made', () => {
    const { routes } = routesAt();
    const host = `${'a.'.repeat(125)}com`;
    expect(routes.candidates(host)).toEqual([host, '*.a.a.a.com', '*.a.a.com', '*.a.com', '*.com', '*']);
  });
});

describe('a route that only its linkers make known', () => {
  test('is known for 60 s after the last word of a linker, then forgotten', () => {
    const { routes, clock } = routesAt();
    const route = routes.linked('a.example.com');
    clock.now = MEMORY_MS - 1;
    expect(routes.match('a.example.com')).toBe(route);
    routes.linked('a.example.com');
    clock.now = 2 * MEMORY_MS - 2;
    expect(routes.match('a.example.com')).toBe(route);
    clock.now = 2 * MEMORY_MS - 1;
    expect(routes.match('a.example.com')).toBeNull();
    expect([...routes.all()]).toEqual([]);
  });

  test('is not forgotten while it has a lender or holds a client', () => {
    const { routes, clock } = routesAt();
    const [lent, holding] = [routes.linked('lent.example.com'), routes.linked('holding.example.com')];
    const [one, entry] = [lender(1, 1), new StandInVisit(0)];
    lent?.slots.add(one);
    holding?.held.insert(entry);
    clock.now = 10 * MEMORY_MS;
    expect([routes.match('lent.example.com'), routes.match('holding.example.com')]).toEqual([lent, holding]);
    expect([...routes.all()]).toEqual([lent, holding]);
    lent?.slots.remove(one);
    holding?.held.remove(entry);
    expect([routes.match('lent.example.com'), routes.match('holding.example.com')]).toEqual([null, null]);
  });

  test('is kept, with its clients, when it gets settings and loses them again', () => {
    const { routes, clock } = routesAt();
    const route = routes.linked('a.example.com');
    routes.configure(configured('a.example.com'));
    clock.now = 10 * MEMORY_MS;
    expect([routes.match('a.example.com'), route?.settings.holdTimeoutMs]).toEqual([route, 1_234]);
    const entry = new StandInVisit(performance.now());
    route?.held.insert(entry);
    routes.configure(new Map());
    expect([routes.match('a.example.com'), route?.settings]).toEqual([route, DEFAULT_ROUTE_SETTINGS]);
    route?.held.remove(entry);
    expect(routes.match('a.example.com')).toBeNull();
  });

  test('is refused when 100,000 are known already; configured ones do not count, forgotten ones make room', () => {
    const { routes, clock } = routesAt();
    routes.configure(configured('one.example.com', '*.two.example.com'));
    let known = 0;
    while (known < 100_000 && routes.linked(`r${known}.example.com`) !== null) known++;
    expect(known).toBe(100_000);
    expect(routes.linked('more.example.com')).toBeNull();
    expect(routes.linked('r7.example.com')).not.toBeNull();
    expect(routes.linked('one.example.com')).not.toBeNull();
    clock.now = MEMORY_MS;
    expect(routes.linked('more.example.com')).not.toBeNull();
    expect([...routes.all()].map(({ name }) => name)).toEqual(['one.example.com', '*.two.example.com', 'more.example.com']);
  });

  test('is refused when its secret has made 10,000 known already, however many linkers come and go; those of other secrets are not', () => {
    const { routes, clock } = routesAt();
    let known = 0;
    while (known < 20_000 && routes.linked(`r${known}.shop.test`, 'of the shop') !== null) known++;
    expect(known).toBe(10_000);
    expect(routes.linked('r7.shop.test', 'of the shop')).not.toBeNull();
    expect(routes.linked('more.shop.test', 'another')).not.toBeNull();
    expect(routes.linked('served.elsewhere.test')).not.toBeNull();
    // A configured route is the operator's, whoever linked it first.
    routes.configure(configured('r7.shop.test'));
    expect(routes.linked('more1.shop.test', 'of the shop')).not.toBeNull();
    expect(routes.linked('more2.shop.test', 'of the shop')).toBeNull();
    clock.now = MEMORY_MS;
    expect(routes.linked('more2.shop.test', 'of the shop')).not.toBeNull();
    let again = 1;
    while (again < 20_000 && routes.linked(`s${again}.shop.test`, 'of the shop') !== null) again++;
    expect(again).toBe(10_000);
  });

  test('may be a wildcard, and is looked for only while it is known', () => {
    const { routes, clock } = routesAt();
    const route = routes.linked('*.example.com');
    expect(routes.match('a.example.com')).toBe(route);
    clock.now = MEMORY_MS;
    expect(routes.match('a.example.com')).toBeNull();
    expect([...routes.all()]).toEqual([]);
    expect(routes.linked('*.example.com')).toBe(routes.match('a.example.com'));
  });
});

test('10,000 hosts that nobody knows leave nothing behind', () => {
  const { routes } = routesAt();
  routes.configure(configured('*.example.com'));
  const found = Array.from({ length: 10_000 }, (_, i) => routes.match(`host${i}.example.org`)).filter((route) => route !== null);
  expect(found).toEqual([]);
  expect([...routes.all()].length).toBe(1);
});

function searched(host: string, names: readonly string[]): string | null {
  if (names.includes(host)) return host;
  const above = names.filter((name) => name.startsWith('*.') && host.endsWith(name.slice(1)));
  const [longest] = above.sort((a, b) => b.length - a.length);
  return longest ?? (names.includes('*') ? '*' : null);
}
