import { describe, expect, test } from '@jest/globals';
import { backoffMs } from '../../../src/linker/home-search.ts';

describe('the time between rounds', () => {
  test.each([
    [1, 25, 50],
    [2, 50, 100],
    [5, 400, 800],
    [8, 2_500, 5_000],
    [1_000_000, 2_500, 5_000],
  ])('after round %i is between %i and %i ms', (round, least, most) => {
    expect(backoffMs(round, () => 0)).toBe(least);
    expect(backoffMs(round, () => 1)).toBe(most);
  });
});
