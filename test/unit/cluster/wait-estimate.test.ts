import { describe, expect, test } from '@jest/globals';
import {
  newcomerWaitMs,
  olderAmong,
  type RouteSupply,
  retryAfterSeconds,
  startLeftMs,
  waitMs,
} from '../../../src/cluster/wait-estimate.ts';

const NOTHING: RouteSupply = {
  held: 0,
  oldestHeldMs: 0,
  slots: 0,
  free: 0,
  slotMs: null,
  startMs: null,
  startAgesMs: [],
  slotsPerStart: null,
};
const supply = (known: Partial<RouteSupply>): RouteSupply => ({ ...NOTHING, ...known });

describe('the wait of a held client', () => {
  test.each<[string, number, Partial<RouteSupply>, number | null]>([
    ['of the first one is the time until the next slot is idle', 0, { slots: 4, slotMs: 100 }, 25],
    ['grows with those who go before it', 39, { slots: 4, slotMs: 100 }, 1_000],
    ['is not known where nobody was served yet', 5, { slots: 4 }, null],
    ['is not known where nothing is there and nothing was started yet', 0, { slotMs: 100 }, null],
    ['is that of a start, where nothing is under way', 0, { startMs: 3_000, slotsPerStart: 2 }, 3_000],
    ['is what is left of a start under way', 1, { startMs: 3_000, slotsPerStart: 2, startAgesMs: [1_000] }, 2_000],
    [
      'of those for whom a new instance has no slot is longer',
      2,
      { startMs: 3_000, slotsPerStart: 2, startAgesMs: [1_000], slotMs: 100 },
      2_050,
    ],
    ['of those is not known where nobody was served yet', 2, { startMs: 3_000, slotsPerStart: 2, startAgesMs: [1_000] }, null],
    ['ends before a start that is not needed', 9, { slots: 1, slotMs: 100, startMs: 3_000, slotsPerStart: 2, startAgesMs: [0] }, 1_000],
    [
      'is shorter by the slots that come meanwhile',
      39,
      { slots: 1, slotMs: 100, startMs: 1_000, slotsPerStart: 10, startAgesMs: [0] },
      1_000 + (20 * 100) / 11,
    ],
    ['counts several starts', 2, { startMs: 1_000, slotsPerStart: 1, startAgesMs: [900, 500, 200] }, 800],
    ['does not trust a time of nothing', 3, { slots: 2, slotMs: 0 }, 0],
  ])('%s', (_what, ahead, known, expected) => {
    const found = waitMs(ahead, supply(known));
    if (expected === null) expect(found).toBeNull();
    else expect(found).toBeCloseTo(expected, 5);
  });

  test('is always a number that is no less than 0, or not known', () => {
    const some = [0, 1, 7, 1e9];
    for (const ahead of some)
      for (const slots of some)
        for (const slotMs of [null, ...some])
          for (const startMs of [null, ...some])
            for (const slotsPerStart of [null, ...some])
              for (const startAgesMs of [[], [0], [5, 1e9]]) {
                const found = waitMs(ahead, supply({ slots, slotMs, startMs, slotsPerStart, startAgesMs }));
                expect(found === null || (Number.isFinite(found) && found >= 0)).toBe(true);
              }
  });
});

describe('a client that comes now', () => {
  test('does not wait where a slot is idle', () => {
    expect(newcomerWaitMs(supply({ slots: 4, free: 1 }))).toBe(0);
  });

  test('goes behind those who are held', () => {
    expect(newcomerWaitMs(supply({ slots: 4, free: 1, held: 7, slotMs: 100 }))).toBe(200);
  });
});

test('a start that is late is never due at once', () => {
  expect([startLeftMs(0, 3_000), startLeftMs(2_000, 3_000), startLeftMs(3_000, 3_000), startLeftMs(5_000, 3_000)]).toEqual([
    3_000, 1_000, 100, 1_000,
  ]);
});

test('of those who came at an even rate, the older ones go before a client', () => {
  expect([
    olderAmong(100, 0, 1_000),
    olderAmong(100, 250, 1_000),
    olderAmong(100, 1_000, 1_000),
    olderAmong(100, 2_000, 1_000),
    olderAmong(3, 5, 0),
  ]).toEqual([100, 75, 0, 0, 3]);
});

test('Retry-After is at least the wait, in whole seconds and few steps', () => {
  expect([0, 1, 1_000, 1_001, 10_001, 16_000, 299_000, 1e9].map(retryAfterSeconds)).toEqual([1, 1, 1, 2, 15, 20, 300, 300]);
});
