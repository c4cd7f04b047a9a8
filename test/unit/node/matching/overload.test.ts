import { expect, test } from '@jest/globals';
import { Overload } from '../../../../src/node/matching/overload.ts';

const NONE = Number.POSITIVE_INFINITY;

/** For so long, so many a second are served after `servedAgeMs` and leave after `leftAgeMs`. Returns the time then. */
function lasts(
  overload: Overload,
  fromMs: number,
  ms: number,
  served: number,
  servedAgeMs: number,
  left: number,
  leftAgeMs: number,
): number {
  for (let i = 0; i < ms; i++) {
    const isDue = (perSecond: number): boolean => Math.floor(((i + 1) * perSecond) / 1_000) > Math.floor((i * perSecond) / 1_000);
    if (isDue(served)) overload.served(servedAgeMs, fromMs + i);
    if (isDue(left)) overload.left(leftAgeMs, fromMs + i);
  }
  return fromMs + ms;
}

test('where clients are served when they are about to leave, and many leave, nobody waits for longer than a part of their patience', () => {
  const overload = new Overload();
  const now = lasts(overload, 0, 500, 100, 1_900, 200, 2_000);
  expect(overload.isOn).toBe(true);
  expect(overload.limitMs(now)).toBeGreaterThan(300);
  expect(overload.limitMs(now)).toBeLessThanOrEqual(500);
});

test.each([
  ['nobody leaves', 100, 5_000, 0, 0],
  ['few leave', 200, 1_900, 20, 2_000],
  ['those who leave would have been served soon', 100, 50, 200, 2_000],
  ['nobody is served', 0, 0, 200, 2_000],
])('no client is refused while %s', (_what, served, servedAgeMs, left, leftAgeMs) => {
  const overload = new Overload(() => 0);
  const now = lasts(overload, 0, 20_000, served, servedAgeMs, left, leftAgeMs);
  expect([overload.isOn, overload.limitMs(now), overload.refuses(10_000, now)]).toEqual([false, NONE, false]);
});

test('a slow application whose impatient clients ask again and again refuses none: a short wait would serve hardly any', () => {
  const overload = new Overload(() => 0);
  for (let at = 0; at < 60_000; at += 1_000) {
    if (at % 5_000 === 0) overload.served(10_000, at);
    for (let i = 0; i < 7; i++) overload.left(2_000, at);
  }
  expect(overload.isOn).toBe(false);
});

test('the part of clients that is refused at once grows with the queue', () => {
  let random = 0;
  const overload = new Overload(() => random);
  const now = lasts(overload, 0, 4_000, 100, 1_900, 200, 2_000);
  const fits = (overload.limitMs(now) / 1_000) * 100;
  const part = (held: number): number => {
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      random = i / 100;
      if (overload.refuses(held, now)) refused++;
    }
    return refused / 100;
  };
  expect(part(fits * 0.4)).toBe(0);
  expect(part(fits * 0.75)).toBeGreaterThan(0.35);
  expect(part(fits * 0.75)).toBeLessThan(0.65);
  expect(part(fits * 1.5)).toBe(1);
});

test('an application that stops serving in an overload refuses nobody until it serves again', () => {
  const overload = new Overload(() => 0);
  const now = lasts(overload, 0, 1_000, 100, 1_900, 200, 2_000);
  expect(overload.limitMs(now)).not.toBe(NONE);
  expect([overload.limitMs(now + 4_100), overload.refuses(10_000, now + 4_100)]).toEqual([NONE, false]);
  expect(overload.served(6_000, now + 4_200)).toBe(true);
  expect(overload.limitMs(now + 4_200)).not.toBe(NONE);
});

test('it is shown while clients come, and not after all of them have gone, although nothing has ended it', () => {
  const overload = new Overload();
  expect(overload.shownMs(0)).toBeNull();
  const now = lasts(overload, 0, 500, 100, 1_900, 200, 2_000);
  expect(overload.shownMs(now)).toBe(overload.limitMs(now));
  expect([overload.isOn, overload.shownMs(now + 1_000)]).toEqual([true, null]);
});

test('the overload is over when the queue was short for a second, and nobody was refused', () => {
  const overload = new Overload();
  let now = lasts(overload, 0, 1_000, 100, 1_900, 200, 2_000);
  now = lasts(overload, now, 900, 100, 20, 0, 0);
  expect(overload.isOn).toBe(true);
  overload.refused(now);
  now = lasts(overload, now, 900, 100, 20, 0, 0);
  expect(overload.isOn).toBe(true);
  now = lasts(overload, now, 200, 100, 20, 0, 0);
  expect(overload.isOn).toBe(false);
});

test('the overload is over when a client finds nobody held a second later', () => {
  const overload = new Overload();
  const now = lasts(overload, 0, 1_000, 100, 1_900, 200, 2_000);
  expect(overload.empty(now + 500)).toBe(false);
  expect(overload.empty(now + 1_100)).toBe(true);
  expect(overload.isOn).toBe(false);
});

test('those who are refused together are told to come again at different times', () => {
  let random = 0;
  const overload = new Overload(() => random);
  lasts(overload, 0, 1_000, 100, 8_000, 200, 10_000);
  const told = new Set<number>();
  for (random = 0; random < 1; random += 0.05) told.add(overload.retryAfterSeconds);
  expect(Math.min(...told)).toBe(1);
  expect(Math.max(...told)).toBeGreaterThan(5);
  expect(Math.max(...told)).toBeLessThanOrEqual(30);
});
