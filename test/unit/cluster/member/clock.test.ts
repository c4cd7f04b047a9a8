import { describe, expect, test } from '@jest/globals';
import { DirectoryClock } from '../../../../src/cluster/member/clock.ts';

describe('the directory’s clock', () => {
  test('is unknown before the first response and after it was forgotten', () => {
    const clock = new DirectoryClock();
    expect(clock.at(5)).toBeNull();
    clock.sample(1_000_000, 0, 2);
    expect(clock.at(1)).toBe(1_000_000);
    clock.forget();
    expect(clock.at(5)).toBeNull();
  });

  test('follows the response that took the shortest time', () => {
    const clock = new DirectoryClock();
    clock.sample(1_000_010, 0, 20);
    clock.sample(1_000_031, 30, 32);
    clock.sample(1_000_500, 100, 400);
    expect(clock.at(1_031)).toBe(1_001_031);
  });

  test('does not hold on to one answer for ever: clocks drift', () => {
    const clock = new DirectoryClock();
    clock.sample(1_000_001, 0, 2);
    clock.sample(1_020_105, 20_000, 20_010);
    expect(clock.at(20_005)).toBe(1_020_105);
  });
});
