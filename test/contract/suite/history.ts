import { describe, expect, test } from '@jest/globals';
import {
  bucketAt,
  HISTORY_BUCKETS_MAX,
  HISTORY_FIELDS_MAX,
  HISTORY_PER_CALL_MAX,
  type HistoryNumbers,
} from '../../../src/cluster/history.ts';
import { eventually } from '../../support/eventually.ts';
import type { World } from '../world.ts';

const route = 'app.example.com';
const NUMBERS: HistoryNumbers = {
  ms: 30_000,
  classes: [0, 90, 3, 2, 5],
  requests: { '0.01': 90, '0.5': 9, '+Inf': 1 },
  holds: { '1': 4 },
  coldStarts: { '1': 1 },
  held: 4,
  active: 2.5,
  slots: 10,
};

export function history(world: () => World): void {
  const now = async (): Promise<number> => bucketAt((await world().observer.history.read(null)).now);

  describe('the history', () => {
    test('sums what nodes have counted in a bucket; what a node writes again replaces what it wrote before', async () => {
      const { history: log } = world().observer;
      const bucket = await now();
      await log.write('a', bucket, [{ route, numbers: { ...NUMBERS, classes: [0, 1, 0, 0, 0] } }]);
      await log.write('a', bucket, [
        { route: null, numbers: NUMBERS },
        { route, numbers: NUMBERS },
      ]);
      await log.write('b', bucket, [{ route, numbers: { ...NUMBERS, ms: 10_000, requests: { '0.02': 7 }, holds: {} } }]);
      expect((await log.read(route)).buckets).toEqual([
        {
          bucket,
          numbers: {
            ms: 30_000,
            classes: [0, 180, 6, 4, 10],
            requests: { '0.01': 90, '0.02': 7, '0.5': 9, '+Inf': 1 },
            holds: { '1': 4 },
            coldStarts: { '1': 2 },
            held: 8,
            active: 5,
            slots: 20,
          },
        },
      ]);
      expect((await log.read(null)).buckets).toEqual([{ bucket, numbers: NUMBERS }]);
      expect((await log.read('other.example.com')).buckets).toEqual([]);
    });

    test('is of the last hour, in order', async () => {
      const { history: log } = world().observer;
      const last = await now();
      const buckets = [last, last - 7, last - HISTORY_BUCKETS_MAX + 2, last - HISTORY_BUCKETS_MAX - 5];
      for (const bucket of buckets) await log.write('a', bucket, [{ route, numbers: NUMBERS }]);
      const found = (await log.read(route)).buckets.map(({ bucket }) => bucket);
      expect(found).toEqual([last - HISTORY_BUCKETS_MAX + 2, last - 7, last]);
    });

    test('has as many routes as there is room for; those that are there stay', async () => {
      const { history: log } = world().observer;
      const bucket = await now();
      const names = Array.from({ length: HISTORY_FIELDS_MAX + HISTORY_PER_CALL_MAX }, (_, i) => `r${i}.example.com`);
      await log.write('a', bucket, [{ route: null, numbers: NUMBERS }, ...names.map((name) => ({ route: name, numbers: NUMBERS }))]);
      await log.write('b', bucket, [{ route: null, numbers: NUMBERS }]);
      expect((await log.read(names[0] ?? '')).buckets).toHaveLength(1);
      expect((await log.read(names[HISTORY_FIELDS_MAX - 2] ?? '')).buckets).toHaveLength(1);
      expect((await log.read(names[HISTORY_FIELDS_MAX - 1] ?? '')).buckets).toEqual([]);
      expect((await log.read(null)).buckets).toMatchObject([{ numbers: { held: 8 } }]);
    });

    test('a member knows the time of its directory when it has joined', async () => {
      const a = await world().join('a');
      await eventually('known', () => a.cluster.now !== null);
      expect(Math.abs((a.cluster.now ?? 0) - (await world().observer.history.read(null)).now)).toBeLessThan(5_000);
    });
  });
}
