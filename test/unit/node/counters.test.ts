import { expect, test } from '@jest/globals';
import { Histogram, sumOfCounts } from '../../../src/node/counters.ts';

test('histograms are added up by bound, and bounds without observations are left out', () => {
  const [one, other] = [new Histogram(), new Histogram()];
  for (const seconds of [0.0005, 0.2, 0.2]) one.observe(seconds);
  for (const seconds of [0.2, 600]) other.observe(seconds);
  expect(sumOfCounts([one, other])).toEqual({ 0.001: 1, 0.25: 3, '+Inf': 1 });
  expect(sumOfCounts([])).toEqual({});
});
