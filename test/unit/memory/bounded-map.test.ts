import { expect, test } from '@jest/globals';
import { BoundedMap } from '../../../src/memory/bounded-map.ts';

test('of too many entries the one that was set longest ago goes, and its value is told', () => {
  const dropped: number[] = [];
  const map = new BoundedMap<string, number>(2, (value) => dropped.push(value));
  map.set('a', 1).set('b', 2).set('c', 3);
  expect([[...map], dropped]).toEqual([
    [
      ['b', 2],
      ['c', 3],
    ],
    [1],
  ]);
});

test("an entry that is set again is the youngest, and takes nobody else's place", () => {
  const dropped: number[] = [];
  const map = new BoundedMap<string, number>(2, (value) => dropped.push(value));
  map.set('a', 1).set('b', 2).set('a', 3);
  expect([[...map.keys()], dropped]).toEqual([['b', 'a'], []]);
  map.set('c', 4);
  expect([[...map.keys()], dropped]).toEqual([['a', 'c'], [2]]);
});

test('an entry that was deleted is not told of', () => {
  const dropped: number[] = [];
  const map = new BoundedMap<string, number>(1, (value) => dropped.push(value));
  map.set('a', 1);
  map.delete('a');
  map.set('b', 2);
  expect([map.size, dropped]).toEqual([1, []]);
});
