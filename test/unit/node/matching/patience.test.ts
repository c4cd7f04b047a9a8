import { expect, test } from '@jest/globals';
import { Patience } from '../../../../src/node/matching/patience.ts';

const repeat = (times: number, act: (i: number) => void): void => {
  for (let i = 0; i < times; i++) act(i);
};

test('nothing is known of the patience of clients before enough have left', () => {
  const patience = new Patience();
  repeat(19, () => patience.left(2_000, 0));
  expect(patience.within(0.25)).toBe(Number.POSITIVE_INFINITY);
  patience.left(2_000, 0);
  expect(patience.within(0.25)).toBeGreaterThan(1_500);
});

test('clients who were served sooner do not make the others look patient', () => {
  const patience = new Patience();
  repeat(300, () => patience.stayed(500));
  repeat(100, () => patience.left(2_000, 0));
  const within = patience.within(0.25);
  expect(within).toBeGreaterThan(1_500);
  expect(within).toBeLessThanOrEqual(2_000);
});

test('when few leave and most wait on, the many are what counts', () => {
  const patience = new Patience();
  repeat(30, () => patience.left(100, 0));
  repeat(300, () => patience.stayed(5_000));
  expect(patience.within(0.25)).toBe(Number.POSITIVE_INFINITY);
});

test('of two kinds of clients the impatient ones count where they are many enough', () => {
  const patience = new Patience();
  repeat(200, (i) => patience.left(i % 2 === 0 ? 400 : 9_000, 0));
  const within = patience.within(0.25);
  expect(within).toBeGreaterThan(300);
  expect(within).toBeLessThanOrEqual(400);
});

test('old observations fade: clients who have become less patient are known as such', () => {
  const patience = new Patience();
  repeat(5_000, () => patience.left(20_000, 0));
  expect(patience.within(0.25)).toBeGreaterThan(10_000);
  repeat(2_000, () => patience.left(1_000, 1_000));
  expect(patience.within(0.25)).toBeLessThanOrEqual(1_000);
});

test('what was learned more than ten minutes before the last one left counts no more', () => {
  const patience = new Patience();
  repeat(100, () => patience.left(1_000, 0));
  patience.left(1_000, 600_001);
  expect(patience.within(0.25)).toBe(Number.POSITIVE_INFINITY);
});

test.each([0, -5, Number.NaN, 1e12, Number.POSITIVE_INFINITY])('an age of %p ms is counted somewhere, and breaks nothing', (ageMs) => {
  const patience = new Patience();
  repeat(50, () => {
    patience.left(ageMs, 0);
    patience.stayed(ageMs);
  });
  expect(patience.within(0.25)).not.toBeNaN();
});
