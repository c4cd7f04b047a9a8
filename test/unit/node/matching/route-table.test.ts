import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkMatch, parseMatchRule } from '../../../../src/config/match-rules.ts';
import { DEFAULT_ROUTE_SETTINGS, parseRouteSettings, type RouteSettings } from '../../../../src/config/route-settings.ts';
import { ConfigError, PullproxyError } from '../../../../src/errors.ts';
import { HeldTally } from '../../../../src/node/matching/held-queue.ts';
import { readingsOf } from '../../../../src/node/matching/route-table.ts';
import { Routes } from '../../../../src/node/matching/routes.ts';

function routesWith(matches: Readonly<Record<string, string | undefined>>): Routes {
  const routes = new Routes(DEFAULT_ROUTE_SETTINGS, new HeldTally(), { expired() {}, rematch() {} });
  const settings = (match: string | undefined): RouteSettings => parseRouteSettings(match === undefined ? {} : { match });
  routes.configure(new Map(Object.entries(matches).map(([name, match]) => [name, settings(match)])));
  return routes;
}

function routeOf(routes: Routes, host: string, target: string): string | null {
  const found = routes.matchRequest(host, { target });
  return found instanceof PullproxyError ? '400' : (found?.name ?? null);
}

/** What the longest of these prefixes says, without a word about other readings. */
function literal(path: string): string {
  if (/^\/api\/v2(\/|$)/.test(path)) return 'v2';
  return /^\/api(\/|$)/.test(path) ? 'api' : 'shop';
}

describe('a request belongs to the route', () => {
  const routes = routesWith({
    shop: 'shop.com, www.shop.com',
    api: 'shop.com/api',
    v2: 'shop.com/api/v2',
    below: '*.example.com',
    docs: '*.example.com/docs,*/docs',
    'plain.com': undefined,
    '*': undefined,
  });

  test.each([
    ['shop.com', '/', 'shop'],
    ['www.shop.com', '/api', 'shop'],
    ['shop.com', '/api', 'api'],
    ['shop.com', '/api?x=/api/v2', 'api'],
    ['shop.com', '/api/', 'api'],
    ['shop.com', '/api/v1', 'api'],
    ['shop.com', '/api/v2', 'v2'],
    ['shop.com', '/api/v2/x', 'v2'],
    ['shop.com', '/api/v22', 'api'],
    ['shop.com', '/apis', 'shop'],
    ['shop.com', '/API', 'shop'],
    ['shop.com', '*', 'shop'],
    ['a.example.com', '/', 'below'],
    ['a.example.com', '/docs/x', 'docs'],
    ['b.a.example.com', '/docs', 'docs'],
    ['plain.com', '/docs', 'plain.com'],
    ['other.org', '/docs', 'docs'],
    ['other.org', '/doc', '*'],
    // A route with rules has no host of its name.
    ['shop', '/', '*'],
  ])('%s%s: %s', (host, target, route) => {
    expect(routeOf(routes, host, target)).toBe(route);
  });

  test.each([
    '/%61pi',
    '/x/../api',
    '/./api',
    '//api',
    '/x/%2e%2e/api',
    '/x%2f..%2fapi',
    '/\\api',
    '/;a/api',
    '/api;x=1',
    '/api%2fv2',
    '/api/v1/../v2',
    '/%2561pi',
    '/api/../x',
    '/api%5cv2',
    '/api/%76%32/x',
  ])('nobody, since it can be read in two ways: %s', (target) => {
    expect(routeOf(routes, 'shop.com', target)).toBe('400');
  });

  test.each([
    ['/a//b', 'shop'],
    ['/x;v=1', 'shop'],
    ['/api/a%2Fb', 'api'],
    ['/api/v1/../x', 'api'],
    ['/%7Euser', 'shop'],
    ['/.well-known/x', 'shop'],
    ['/api/%zz', 'api'],
    ['/?next=/../api', 'shop'],
  ])('%s can be read in two ways, and both are %s', (target, route) => {
    expect(routeOf(routes, 'shop.com', target)).toBe(route);
  });

  test('whatever reading an application has of a path that passes, it is the same route', () => {
    const piece = fc.constantFrom('/', '//', '.', '..', '%2e', '%2F', '%5c', '\\', ';x', 'api', 'v2', 'a', '%61', '%25', 'p', 'i', '?');
    const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
    fc.assert(
      fc.property(path, (target) => {
        const route = routeOf(routes, 'shop.com', target);
        const [before = ''] = target.split('?');
        if (route === '400') return;
        for (const reading of readingsOf(before) ?? []) expect(route).toBe(literal(reading));
      }),
      { numRuns: 2_000 },
    );
  });

  test('nobody, since it is too long to be read in all ways', () => {
    expect(routeOf(routes, 'shop.com', `/${'a'.repeat(2_000)}`)).toBe('shop');
    expect(routeOf(routes, 'shop.com', `/${'a/../'.repeat(400)}`)).toBe('400');
  });

  test('the names that are looked up for a host leave out those that are no host', () => {
    expect(routes.candidates('shop')).toEqual(['*']);
  });
});

test('a lookup costs no more among 10,000 routes', () => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`r${i}`, `h${i % 500}.example.com/a/b${i}`]));
  const routes = routesWith(many);
  for (let i = 0; i < 10_000; i += 97) expect(routeOf(routes, `h${i % 500}.example.com`, `/a/b${i}/c`)).toBe(`r${i}`);
  const took = (of: Routes, host: string, target: string): number => {
    const began = process.cpuUsage().user;
    for (let i = 0; i < 20_000; i++) of.matchRequest(host, { target });
    return process.cpuUsage().user - began;
  };
  const few = routesWith({ r1: 'h1.example.com/a/b1', r2: 'h1.example.com/a' });
  took(few, 'h1.example.com', '/a/b1');
  // A search through all of them would be some thousand times as long.
  expect(took(routes, 'h1.example.com', '/a/b1')).toBeLessThan(50 * (took(few, 'h1.example.com', '/a/b1') + 1_000));
});

describe('rules', () => {
  test.each([
    '',
    '/',
    'a b',
    'a.com/a b',
    'a.com//',
    'a.com/a//b',
    'a.com/../b',
    'a.com/%61',
    'a.com/a;b',
    `a.com/${'a'.repeat(200)}`,
    'a.com/1/2/3/4/5/6/7/8/9',
    'https://a.com/',
    'a.com:80',
  ])('that can not be: %s', (text) => {
    expect(parseMatchRule(text)).toBeNull();
  });

  test('are written in one way', () => {
    expect(parseMatchRule('A.com/Api/')).toEqual({ host: 'a.com', prefix: '/Api' });
    expect(parseRouteSettings({ match: 'a.com, A.COM/,b.com/x' }).match).toEqual(['a.com', 'b.com/x']);
    expect(() => parseRouteSettings({ match: 'a.com, /x' })).toThrow(ConfigError);
  });

  test('of two routes must not be the same; whose they are is said', () => {
    const others = new Map([
      ['one', { match: '["a.com","b.com/x"]' }],
      ['c.com', {}],
    ]);
    expect(() => checkMatch('two', { match: 'b.com/x, c.com' }, others)).toThrow(
      /match.*b\.com\/x.*belongs to the route one\n.*match.*c\.com.*belongs to the route c\.com/,
    );
    expect(() => checkMatch('a.com', {}, others)).toThrow(/route.*a\.com.*belongs to the route one/);
    expect(() => checkMatch('one', { match: 'a.com' }, others)).not.toThrow();
    expect(() => checkMatch('b.com', {}, others)).not.toThrow();
  });
});
