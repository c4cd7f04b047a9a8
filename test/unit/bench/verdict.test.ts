import { describe, expect, test } from '@jest/globals';
import type { Sample } from '../../bench/soak/observer.ts';
import { growths, judge } from '../../bench/soak/verdict.ts';
import { Random } from '../../e2e/chaos/random.ts';

/** A sample a minute, 20,000 requests each; what objects take has noise of 100 KB. */
function samples(minutes: number, heapOf: (requests: number) => number): Sample[] {
  const random = new Random(3);
  return Array.from({ length: minutes }, (_, i) => {
    const requests = i * 20_000;
    return { minutes: i, requests, values: { 'node objects': heapOf(requests) + random.between(-5e4, 5e4), 'node fds': 40 } };
  });
}

describe('the verdict of a soak', () => {
  test.each([
    { slope: 5, error: 1, verdict: 'grows' },
    { slope: 2, error: 1, verdict: 'flat' },
    { slope: -50, error: 1, verdict: 'flat' },
    { slope: 2, error: 4, verdict: 'noisy' },
    { slope: 0, error: Number.POSITIVE_INFINITY, verdict: 'noisy' },
    { slope: 0, error: 0, verdict: 'flat' },
  ])('of a slope of $slope ± $error, where 10 would matter, is $verdict', ({ slope, error, verdict }) => {
    expect(judge(slope, error, 10)).toBe(verdict);
  });

  test('finds a byte lost by each request in an hour, and says how much that is', () => {
    const [heap, fds] = growths(samples(60, (requests) => 2e7 + requests));
    expect(heap).toMatchObject({ quantity: 'node objects', unit: 'bytes', verdict: 'grows' });
    expect(heap?.perMillionRequests).toBeGreaterThan(0.8e6);
    expect(heap?.perMillionRequests).toBeLessThan(1.2e6);
    expect(heap?.perHour).toBeCloseTo(((heap?.perMillionRequests ?? 0) * 1.2) / 1_000, 5);
    expect(fds).toMatchObject({ quantity: 'node fds', unit: '', verdict: 'flat', last: 40 });
  });

  test('finds nothing where nothing grows but in the first quarter', () => {
    expect(growths(samples(60, (requests) => 2e7 + Math.min(requests, 3e5) * 10))[0]?.verdict).toBe('flat');
  });

  test('is none after two minutes', () => {
    expect(growths(samples(3, () => 2e7))[0]?.verdict).toBe('noisy');
  });
});
