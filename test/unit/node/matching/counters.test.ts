import { expect, test } from '@jest/globals';
import { Histogram, WaitCounters } from '../../../../src/node/matching/counters.ts';

test('a histogram tells how many it has seen up to each bound, and leaves out the bounds without any', () => {
  const histogram = new Histogram();
  for (const seconds of [0.0005, 0.2, 0.2, 0.25, 600]) histogram.observe(seconds);
  expect(histogram.seen).toEqual({ 0.001: 1, 0.25: 3, '+Inf': 1 });
  expect(new Histogram().seen).toEqual({});
});

test('a wait that began when no instance was ready counts as such, too', () => {
  const waits = new WaitCounters();
  waits.waited(0.2, false);
  waits.waited(2, true);
  expect([waits.hold.seen, waits.coldStart.seen]).toEqual([{ 0.25: 1, 2.5: 1 }, { 2.5: 1 }]);
});
