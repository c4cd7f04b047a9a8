import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ChurnMap, ChurnSet } from '../../../src/memory/churn-map.ts';

describe('a churn map', () => {
  test('has what a map has, whatever comes and goes', () => {
    const step = fc.record({ act: fc.constantFrom('set', 'set', 'delete', 'delete', 'clear'), key: fc.nat(40), value: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const [ours, theirs] = [new ChurnMap<number, number>(), new Map<number, number>()];
        for (const { act, key, value } of steps) {
          // Clearing seldom, lest nothing grows.
          if (act === 'set') [ours, theirs].forEach((map) => void map.set(key, value));
          else if (act === 'delete') expect(ours.delete(key)).toBe(theirs.delete(key));
          else if (value % 50 === 0) [ours, theirs].forEach((map) => void map.clear());
          expect([ours.size, ours.get(key), ours.has(key)]).toEqual([theirs.size, theirs.get(key), theirs.has(key)]);
        }
        expect([...ours.values()]).toEqual([...theirs.values()]);
      }),
    );
  });

  test('shows nothing that was deleted while it is looked through, even when it begins anew meanwhile', () => {
    const map = new ChurnMap<number, number>();
    for (let i = 0; i < 200; i++) map.set(i, i);
    const seen: number[] = [];
    for (const value of map.values()) {
      seen.push(value);
      for (let i = value + 1; i < 190; i++) map.delete(i);
    }
    expect(seen).toEqual([0, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199]);
  });

  test('keeps nothing alive that has passed through it since the last major collection', () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const map = new ChurnMap<number, number[]>();
    const pass = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        map.set(i, new Array<number>(100).fill(i));
        map.delete(i - 50);
      }
    };
    pass(0, 1_000);
    gc();
    const before = oldBytes();
    // 80 MB: many times the young generation.
    pass(1_000, 101_000);
    expect(oldBytes() - before).toBeLessThan(20e6);
  });
});

test('a churn set shows its members in the order in which they came', () => {
  const set = new ChurnSet<string>();
  for (let i = 0; i < 100; i++) set.add(`${i}`);
  for (let i = 0; i < 97; i++) expect(set.delete(`${i}`)).toBe(true);
  set.add('98');
  expect([[...set], set.size, set.has('5'), set.delete('5')]).toEqual([['97', '98', '99'], 3, false, false]);
});

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0;
}
