import { describe, expect, test } from '@jest/globals';
import { NOTHING_MEASURED, START_TIMES_MAX } from '../../../src/cluster/waits.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

export function waits(world: () => World): void {
  const known = () => world().observer.waits.exchange(route, NOTHING_MEASURED);

  describe('what is known of waits', () => {
    test('is nothing before anything was measured', async () => {
      expect(await known()).toEqual({
        held: 0,
        oldestHeldMs: 0,
        slots: 0,
        free: 0,
        slotMs: null,
        startMs: null,
        slotsPerStart: null,
        startAgesMs: [],
      });
    });

    test('is the mean over all nodes of the time for which requests kept their slots', async () => {
      const { observer } = world();
      await observer.waits.exchange(route, { requests: 30, ms: 3_000 });
      await observer.waits.exchange(route, { requests: 10, ms: 3_000 });
      expect((await known()).slotMs).toBeCloseTo(150, 0);
      expect((await observer.waits.exchange('other.example.com', NOTHING_MEASURED)).slotMs).toBeNull();
    });

    test('is the median of the last starts, each counted once', async () => {
      const { observer } = world();
      await observer.waits.started(route, 'late', 60_000);
      await observer.waits.started(route, 'late', 10);
      expect((await known()).startMs).toBe(60_000);
      for (let i = 0; i < START_TIMES_MAX; i++) await observer.waits.started(route, `s${i}:1`, 1_000 + i);
      expect((await known()).startMs).toBe(1_002);
    });

    test('has the held clients, the slots and the starts of all nodes', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 2_000, 100);
      b.cluster.hold(route, 'c2', 60_000, 100);
      a.cluster.instance(route, instance('i1', { concurrency: 4 }));
      await eventually('known', async () => (await known()).held === 2 && (await known()).slots === 4);
      const { begun } = await world().observer.startPlan(route);
      expect(await world().observer.beginStarts(route, ['s1', 's2'], 60_000, { ready: 1, starting: 0, begun })).toBe(true);
      const found = await known();
      expect(found.slotsPerStart).toBe(4);
      expect(found.startAgesMs).toHaveLength(2);
      expect(found.oldestHeldMs).toBeGreaterThanOrEqual(60_000);
    });

    test('has a place that is taken by one at a time', async () => {
      const { waits: log } = world().observer;
      expect([await log.claim(route, 'p1', 60_000), await log.claim(route, 'p1', 60_000)]).toEqual([true, false]);
      expect([await log.claim(route, 'p2', 60_000), await log.claim('other.example.com', 'p1', 60_000)]).toEqual([true, true]);
      await log.unclaim(route, 'p1');
      expect(await log.claim(route, 'p1', 50)).toBe(true);
      await eventually('the claim is over', () => log.claim(route, 'p1', 60_000));
    });

    test('makes the wait of a client that comes now, in the picture', async () => {
      const a = await world().join('a');
      const waitMs = async () => (await world().observer.snapshot()).routes.find(({ name }) => name === route)?.waitMs;
      a.cluster.instance(route, instance('i1', { concurrency: 2 }));
      for (const id of ['c1', 'c2', 'c3']) a.cluster.hold(route, id, 0, 100);
      await eventually('they are held', async () => (await known()).held === 3);
      expect(await waitMs()).toBeNull();
      await a.cluster.waits.exchange(route, { requests: 1, ms: 500 });
      await eventually('it is known', async () => (await waitMs()) === 1_000);
    });
  });
}
