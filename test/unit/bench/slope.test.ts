import { describe, expect, test } from '@jest/globals';
import { leastSquares } from '../../bench/slope.ts';
import { Random } from '../../e2e/chaos/random.ts';

type Points = [number, number][];

/** Noise of a width of 2 around a line, the same in every run. */
function noisy(slope: number, noise: (random: Random, before: number) => number): Points {
  const random = new Random(7);
  let last = 0;
  return Array.from({ length: 200 }, (_, x) => {
    last = noise(random, last);
    return [x, 5 + slope * x + last];
  });
}
const independent = (random: Random): number => random.between(-1, 1);
const wandering = (random: Random, before: number): number => before * 0.95 + random.between(-1, 1);

describe('the slope of samples', () => {
  test('is that of the line on which they lie, without an error', () => {
    const { slope, error } = leastSquares(Array.from({ length: 10 }, (_, x) => [x, 3 + 2 * x]));
    expect(slope).toBeCloseTo(2, 10);
    expect(error).toBeCloseTo(0, 10);
  });

  test('tells a growth that is larger than the noise, and no growth from noise', () => {
    const grows = leastSquares(noisy(0.02, independent));
    expect(grows.slope).toBeGreaterThan(3 * grows.error);
    const still = leastSquares(noisy(0, independent));
    expect(Math.abs(still.slope)).toBeLessThan(3 * still.error);
  });

  test('is less sure where each sample resembles the one before', () => {
    const walk = leastSquares(noisy(0, wandering));
    expect(walk.error).toBeGreaterThan(5 * leastSquares(noisy(0, independent)).error);
    expect(Math.abs(walk.slope)).toBeLessThan(3 * walk.error);
  });

  test('is unknown with three samples, or with all at the same place', () => {
    expect(
      leastSquares([
        [0, 1],
        [1, 2],
        [2, 4],
      ]).error,
    ).toBe(Number.POSITIVE_INFINITY);
    expect(
      leastSquares([
        [1, 1],
        [1, 2],
        [1, 3],
        [1, 4],
      ]),
    ).toEqual({ slope: 0, error: Number.POSITIVE_INFINITY });
  });
});
