import { expect, test } from '@jest/globals';
import { newStartId } from '../../../src/scaling/start-round.ts';

test('start ids fit into names of pods, containers and units, and differ', () => {
  const ids = Array.from({ length: 1_000 }, newStartId);
  for (const id of ids) expect(id).toMatch(/^[a-z][a-z0-9]{11}$/);
  expect(new Set(ids).size).toBe(ids.length);
});
