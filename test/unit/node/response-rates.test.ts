import { expect, test } from '@jest/globals';
import { ResponseRates } from '../../../src/node/response-rates.ts';

test('a route is failing while it answers with 5xx, and for at most half a minute after', () => {
  let now = 0;
  const rates = new ResponseRates(() => now);
  const codes = new Map([
    [200, 1_000],
    [500, 7],
  ]);
  const route = { name: 'app.test', counters: { codes } };
  const look = (ms: number) => {
    now += ms;
    return rates.failing([route]);
  };
  look(0);
  expect(look(3_000)).toEqual([]);
  codes.set(503, 10).set(200, 1_010);
  expect(look(3_000)).toEqual([{ route: 'app.test', all: 20, failed: 10 }]);
  // It is not asked more often than the counters are looked at.
  codes.set(503, 11);
  expect(look(100)).toEqual([{ route: 'app.test', all: 20, failed: 10 }]);
  look(15_000);
  look(15_000);
  look(15_000);
  expect(look(3_000)).toEqual([]);
});

test('only the worst routes are told', () => {
  let now = 0;
  const rates = new ResponseRates(() => now);
  const routes = Array.from({ length: 50 }, (_, i) => ({ name: `r${i}`, counters: { codes: new Map<number, number>() } }));
  rates.failing(routes);
  for (const [i, { counters }] of routes.entries()) counters.codes.set(500, i);
  now += 5_000;
  const found = rates.failing(routes);
  expect([found.length, found[0]]).toEqual([20, { route: 'r49', all: 49, failed: 49 }]);
});
