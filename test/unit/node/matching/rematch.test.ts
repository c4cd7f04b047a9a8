import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Rematch } from '../../../../src/node/matching/rematch.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

function rematches(): { rematch: Rematch; at: number[]; within(delayMs: number): void } {
  const began = performance.now();
  const at: number[] = [];
  const rematch = new Rematch(() => at.push(performance.now() - began));
  return { rematch, at, within: (delayMs) => rematch.within(delayMs, performance.now()) };
}

test('a route is matched again once, at the soonest of the times that were asked for', () => {
  const { at, within } = rematches();
  within(1_000);
  within(25);
  within(500);
  expect(jest.getTimerCount()).toBe(1);
  jest.advanceTimersByTime(5_000);
  expect(at).toEqual([25]);
});

test('a route is matched again each time that it is asked for anew, also from within', () => {
  const { rematch, at, within } = rematches();
  within(10);
  jest.advanceTimersByTime(10);
  within(10);
  jest.advanceTimersByTime(100);
  expect(at).toEqual([10, 20]);
  const chain = new Rematch(() => {
    if (at.push(0) < 5) chain.within(1, performance.now());
  });
  chain.within(1, performance.now());
  jest.advanceTimersByTime(100);
  expect([at.length, jest.getTimerCount()]).toEqual([5, 0]);
  rematch.within(1, performance.now());
  expect(jest.getTimerCount()).toBe(1);
});

test('asking for the same moment again and again costs no new timer each time', () => {
  const { rematch } = rematches();
  const set = jest.spyOn(globalThis, 'setTimeout');
  const now = performance.now();
  for (let i = 0; i < 100; i++) rematch.within(25 - i / 1_000, now + i / 1_000);
  expect(set).toHaveBeenCalledTimes(1);
});
