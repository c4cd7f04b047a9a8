/** What the search for a limit finds, for applications that are queues: more clients than it takes wait for each of them. */
import { describe, expect, test } from '@jest/globals';
import { AutoLimit } from '../../../src/linker/auto-limit.ts';
import { type Application, run } from '../../support/harness/simulated-application.ts';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const SINGLE: Application = { workers: () => 1, serviceMs: 5, varies: 0.2 };
const POOL: Application = { workers: () => 8, serviceMs: 40, varies: 0.3 };
const WIDE: Application = { workers: () => 40, serviceMs: 100, varies: 0.5 };
const DATABASE: Application = { workers: () => 1, serviceMs: 4, varies: 0.3, elsewhereMs: 36 };

describe.each([
  ['a server of one thread', SINGLE, 2],
  ['a pool of 8', POOL, 8],
  ['40 connections', WIDE, 40],
  ['a database that does one thing after the other for a part of each request', DATABASE, 13],
] as const)('for %s', (_name, application, best) => {
  test('the searched limit serves as much as the best one, and responses take hardly longer', () => {
    const found = SEEDS.map((seed) => run({ ...application, seed, seconds: 40, limit: null }));
    const fixed = SEEDS.map((seed) => run({ ...application, seed, seconds: 40, limit: best }));
    const goodput = mean(found.map((one) => one.goodput(10_000))) / mean(fixed.map((one) => one.goodput(10_000)));
    const slower = mean(found.map((one) => one.meanMs(10_000))) / mean(fixed.map((one) => one.meanMs(10_000)));
    expect(goodput).toBeGreaterThan(0.95);
    expect(slower).toBeLessThan(1.3);
  });
});

test('the searched limit follows a knee that moves from 8 to 24 and back within a few seconds', () => {
  const workers = (now: number): number => (now >= 20_000 && now < 40_000 ? 24 : 8);
  const found = SEEDS.map((seed) => run({ ...POOL, workers, seed, seconds: 60, limit: null }));
  const wide = mean(found.map((one) => one.goodput(26_000, 40_000)));
  expect(wide).toBeGreaterThan(0.95 * (24 / 0.04));
  const narrow = mean(found.map((one) => one.goodput(46_000)));
  expect(narrow).toBeGreaterThan(0.93 * (8 / 0.04));
  expect(mean(found.map((one) => one.meanMs(46_000)))).toBeLessThan(1.3 * 40);
});

test('the searched limit does not creep up while clients set the pace', () => {
  for (const seed of SEEDS) {
    const { limits } = run({ ...POOL, seed, seconds: 60, limit: null, demand: 3 });
    expect(Math.max(...limits)).toBe(10);
  }
});

test('the searched limit does not move while nothing is answered', () => {
  const auto = new AutoLimit({ least: 1, most: 100, first: 10 }, 0);
  for (let now = 0; now < 3_600_000; now += 60_000) auto.answered(now, 5, 10);
  expect(auto.limit).toBe(10);
});

test.each([
  [1, 4],
  [3, 3],
  [20, 64],
])('it stays between %d and %d', (least, most) => {
  for (const seed of SEEDS) {
    const { limits } = run({ ...POOL, seed, seconds: 20, limit: null, bounds: { least, most, first: 10 } });
    expect(Math.min(...limits)).toBeGreaterThanOrEqual(least);
    expect(Math.max(...limits)).toBeLessThanOrEqual(most);
  }
});

test('the searched limit leaves its lowest limit when the application can take more', () => {
  const workers = (now: number): number => (now < 15_000 ? 1 : 30);
  for (const seed of SEEDS.slice(0, 2)) {
    const { limits } = run({ ...SINGLE, serviceMs: 10, workers, seed, seconds: 30, limit: null });
    expect(limits[56]).toBeLessThanOrEqual(5);
    expect(limits.at(-1)).toBeGreaterThan(20);
  }
});

test('answers that all take the same time, or none at all, are no trouble', () => {
  const auto = new AutoLimit({ least: 1, most: 100, first: 10 }, 0);
  const seen = new Set<number>();
  for (let now = 0; now < 60_000; now++) {
    auto.answered(now, 0, 0);
    seen.add(auto.limit);
  }
  expect([...seen].every((limit) => Number.isInteger(limit) && limit >= 1 && limit <= 100)).toBe(true);
});

test('it goes down while the application runs out of memory, and not below its lowest limit', () => {
  const auto = new AutoLimit({ least: 4, most: 100, first: 16 }, 0);
  const limits: number[] = [];
  for (let now = 0; now < 10_000; now += 1_000) {
    auto.pressed(now, 'less');
    limits.push(auto.limit);
  }
  expect(limits).toEqual([12, 12, 9, 9, 6, 6, 4, 4, 4, 4]);
});

test('it does not grow while something is scarce, and does afterwards', () => {
  const workers = 40;
  const auto = new AutoLimit({ least: 1, most: 100, first: 10 }, 0);
  const serve = (fromMs: number, toMs: number): number[] => {
    const limits: number[] = [];
    for (let now = fromMs; now < toMs; now += 40 / Math.min(workers, auto.limit)) {
      auto.answered(now, 40, 0);
      limits.push(auto.limit);
    }
    return limits;
  };
  auto.pressed(0, 'no more');
  expect(Math.max(...serve(0, 10_000))).toBe(10);
  auto.pressed(10_000, 'none');
  expect(serve(10_000, 20_000).at(-1)).toBeGreaterThan(30);
});

test('time in which nobody asked does not make what follows look better', () => {
  const auto = new AutoLimit({ least: 1, most: 100, first: 10 }, 0);
  const limits: number[] = [];
  // Eight at once, whatever the limit is.
  for (const fromMs of [60_000, 120_000]) {
    for (let now = fromMs; now < fromMs + 5_000; now += 5) {
      auto.answered(now, 5 * auto.limit, 0);
      limits.push(auto.limit);
    }
  }
  expect(Math.max(...limits)).toBeLessThanOrEqual(15);
});
