import { describe, expect, test } from '@jest/globals';
import { costRules, parseCostRule } from '../../../src/config/cost-rules.ts';
import { parseRouteSettings } from '../../../src/config/route-settings.ts';

describe('what a request costs', () => {
  test.each<[string, string | null, string, number]>([
    ['POST /export*=5', 'POST', '/export*', 5],
    ['post /export=5', 'POST', '/export', 5],
    ['* /reports/*=3', null, '/reports/*', 3],
    ['GET *=1', 'GET', '*', 1],
    ['GET /a=1000000', 'GET', '/a', 1_000_000],
    ['GET /a=0005', 'GET', '/a', 5],
    // A path may have the sign in it: the last one counts.
    ['GET /a=b=2', 'GET', '/a=b', 2],
    ['GET /a=7=2', 'GET', '/a=7', 2],
    ['GET  /a=2', 'GET', '/a', 2],
  ])('is read from %j', (text, method, path, cost) => {
    expect(parseCostRule(text)).toEqual({ method, path: path.split('*'), cost });
  });

  test.each([
    '',
    '=5',
    'GET /a',
    'GET /a=',
    'GET /a=0',
    'GET /a=0000000',
    'GET /a=-1',
    'GET /a=+1',
    'GET /a=1.5',
    'GET /a=1e3',
    'GET /a=0x5',
    'GET /a= 5',
    'GET /a=5 ',
    'GET /a=five',
    'GET /a=1000001',
    'GET /a=10000000',
    'GET /a=٥',
    '/a=5',
    'GET a=5',
    'GET /a b=5',
    'ua:*bot*=5',
    'GET /a\r\nX: y=5',
    'GET /a\0=5',
    `GET /${'a'.repeat(252)}=5`,
  ])('is not read from %j', (text) => {
    expect(parseCostRule(text)).toBeNull();
  });

  test('has a rule as long as that', () => {
    expect(parseCostRule(`GET /${'a'.repeat(251)}=5`)).not.toBeNull();
  });
});

describe('costBy of a route', () => {
  test.each<[unknown, string[]]>([
    ['POST /export*=5', ['POST /export*=5']],
    ['POST /export*=5, * /big=2', ['POST /export*=5', '* /big=2']],
    ['["POST /a,b=5"]', ['POST /a,b=5']],
    [
      ['POST /export*=5', '* /big=2'],
      ['POST /export*=5', '* /big=2'],
    ],
    [Array.from({ length: 32 }, (_, i) => `GET /${i}=2`), Array.from({ length: 32 }, (_, i) => `GET /${i}=2`)],
  ])('%j', (value, rules) => {
    const { costBy } = parseRouteSettings({ costBy: value });
    expect(costBy).toEqual(rules);
    expect(costRules.read(costRules.write(costBy ?? []))).toEqual(rules);
  });

  test.each<[unknown]>([[''], [[]], ['GET /a'], [['GET /a=2', 'GET /b']], [[2]], [{}], [Array.from({ length: 33 }, () => 'GET /=2')]])(
    '%j is refused by name',
    (value) => {
      expect(() => parseRouteSettings({ costBy: value })).toThrow(/costBy .*expected/);
    },
  );

  test.each(['header:', 'header:X Cost', 'client', 'cookie:cost', 'rfc9218', 'X-Cost'])('cost=%s is refused by name', (value) => {
    expect(() => parseRouteSettings({ cost: value })).toThrow(/cost .*expected/);
  });
});
