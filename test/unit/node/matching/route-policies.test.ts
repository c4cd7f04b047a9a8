import { describe, expect, test } from '@jest/globals';
import { KnownInstances } from '../../../../src/node/matching/known-instances.ts';
import { FailingStarts, NewestPull, suspectLeftMs, Yielding } from '../../../../src/node/matching/route-policies.ts';

describe('idle slots are kept back for an older client elsewhere', () => {
  /** At which times an older client was known elsewhere, and whether a slot was kept back for it then; `moved`: all were moved away. */
  test.each<[string, readonly (readonly [number, boolean | 'moved'])[]]>([
    [
      'for 25 ms',
      [
        [0, true],
        [24.9, true],
        [25, false],
      ],
    ],
    [
      'not again for 100 ms after that was in vain',
      [
        [0, true],
        [25, false],
        [124.9, false],
        [125, true],
        [149, true],
        [150, false],
      ],
    ],
    [
      'anew when they were moved: that was not in vain',
      [
        [0, true],
        [10, 'moved'],
        [11, true],
        [35, true],
        [36, false],
      ],
    ],
    [
      'not sooner when others were moved during the pause',
      [
        [0, true],
        [30, false],
        [40, 'moved'],
        [124, false],
        [125, true],
      ],
    ],
    [
      'for 25 ms from the first one that was, whenever others come',
      [
        [100, true],
        [120, true],
        [125, false],
      ],
    ],
    [
      'anew after a long time without any',
      [
        [0, true],
        [10_000, true],
        [10_025, false],
      ],
    ],
  ])('%s', (_, steps) => {
    const yielding = new Yielding();
    for (const [now, expected] of steps) {
      if (expected === 'moved') yielding.moved(now);
      else expect([now, yielding.keepsBack(now)]).toEqual([now, expected]);
    }
  });
});

test('where clients have an order, slots are kept back again 10 ms after they were in vain, then after twice as long each time, up to 100 ms', () => {
  const yielding = new Yielding();
  const gaps: number[] = [];
  let at = 0;
  for (let now = 0; gaps.length < 6; now++) {
    const before = yielding.until;
    if (!yielding.keepsBack(now, true) || yielding.until === before) continue;
    gaps.push(now - at);
    at = now + 25;
  }
  expect(gaps).toEqual([0, 10, 20, 40, 80, 100]);
  yielding.helped();
  expect(yielding.keepsBack(at, true)).toBe(true);
  expect(yielding.keepsBack(at + 25 + 9, true)).toBe(false);
  expect(yielding.keepsBack(at + 25 + 10, true)).toBe(true);
});

describe('slots of the newest instance are asked for', () => {
  test('at once, then 50 ms later, and after twice as long each time that none came, up to 5 s', () => {
    const pull = new NewestPull();
    const gaps: number[] = [];
    let last = 0;
    for (let now = 0; now < 60_000; now += 10) {
      if (!pull.isDue(now)) continue;
      pull.asked(now);
      gaps.push(now - last);
      last = now;
    }
    expect(gaps.slice(0, 11)).toEqual([0, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  });

  test('as often as at first once one came, after the gap that was begun', () => {
    const pull = new NewestPull();
    for (const now of [0, 50, 150]) pull.asked(now);
    pull.came(160);
    expect([pull.isDue(349), pull.isDue(350)]).toEqual([false, true]);
    pull.asked(350);
    expect([pull.isDue(399), pull.isDue(400)]).toEqual([false, true]);
  });

  test('no more often because of one that comes much later, for a client that was held', () => {
    const pull = new NewestPull();
    for (const now of [0, 50, 150, 350]) pull.asked(now);
    pull.came(601);
    pull.asked(750);
    expect([pull.isDue(1_549), pull.isDue(1_550)]).toEqual([false, true]);
    pull.came(1_000);
    pull.asked(1_550);
    expect([pull.isDue(1_599), pull.isDue(1_600)]).toEqual([false, true]);
  });
});

describe('while starts fail', () => {
  test('clients are sent away for the time that was said, and held again after it', () => {
    const starts = new FailingStarts();
    starts.failed(1_000, 500);
    expect([1_000, 1_499, 1_500, 9_000].map((now) => starts.leftMs(() => now))).toEqual([500, 1, 0, 0]);
  });

  test('each word of it counts from then on, and only the first is news until an instance is there', () => {
    const starts = new FailingStarts();
    expect([starts.failed(0, 100), starts.failed(50, 100), starts.failed(1_000, 100)]).toEqual([true, false, false]);
    expect(starts.leftMs(() => 1_050)).toBe(50);
    starts.succeeded();
    expect(starts.leftMs(() => 1_050)).toBe(0);
    expect(starts.failed(1_060, 100)).toBe(true);
  });

  test('nobody is asked for the time where none has failed', () => {
    const asked = (): number => {
      throw new Error('asked');
    };
    expect(new FailingStarts().leftMs(asked)).toBe(0);
  });
});

test.each([
  [0, 1_000],
  [999, 1],
  [1_000, 0],
  [60_000, 0],
])('a client that has waited for %i ms waits %i ms more for another instance than one that fails', (heldMs, leftMs) => {
  expect(suspectLeftMs(heldMs)).toBe(leftMs);
});

describe('what is known of instances in the cluster', () => {
  test('nothing at first: none serves, and no other than any', () => {
    const known = new KnownInstances();
    expect([known.newest, known.before, known.hasNewest, known.hasOther('a')]).toEqual([null, null, false, false]);
  });

  test('the newest serves until its link here breaks, and the one before it beside it', () => {
    const known = new KnownInstances();
    expect([known.becameNewest('a'), known.becameNewest('a'), known.becameNewest('b')]).toEqual([true, false, true]);
    expect([known.newest, known.before, known.hasNewest]).toEqual(['b', 'a', true]);
    expect([known.hasOther('a'), known.hasOther('b'), known.hasOther('c')]).toEqual([true, true, true]);
    known.gone('a');
    expect([known.hasOther('a'), known.hasOther('b'), known.hasNewest]).toEqual([true, false, true]);
    known.gone('b');
    expect([known.hasOther('a'), known.hasOther('b'), known.hasNewest]).toEqual([false, true, false]);
  });
});
