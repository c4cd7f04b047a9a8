import { expect, test } from '@jest/globals';
import { LanePool } from '../../../src/scaling/lanes.ts';

test('a job has a lane of its own when others have taken all spare ones', () => {
  const pool = new LanePool(3);
  expect(pool.forJob().take(100)).toHaveLength(4);
  expect(pool.forJob().take(100)).toHaveLength(1);
});

test('lanes that come back are given out again', () => {
  const pool = new LanePool(2);
  const job = pool.forJob();
  const lanes = job.take(3);
  expect(job.take(1)).toHaveLength(0);
  for (const release of lanes) release();
  expect(job.take(5)).toHaveLength(3);
});

test('a lane that is given back twice counts once', () => {
  const pool = new LanePool(1);
  const [own, spare] = pool.forJob().take(2);
  for (const release of [own, spare, spare]) release?.();
  expect(pool.forJob().take(5)).toHaveLength(2);
});

test('none are taken where none are wanted', () => {
  const pool = new LanePool(1);
  expect(pool.forJob().take(0)).toHaveLength(0);
  expect(pool.forJob().take(2)).toHaveLength(2);
});
