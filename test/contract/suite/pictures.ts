import { describe, expect, test } from '@jest/globals';
import type { RouteSnapshot } from '../../../src/cluster/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

export function pictures(world: () => World): void {
  async function picture(): Promise<RouteSnapshot | undefined> {
    return (await world().observer.snapshot()).routes.find(({ name }) => name === route);
  }

  describe('the picture of a route', () => {
    test('shows its settings as they are stored, although nobody is there', async () => {
      await world().observer.setRoute(route, { maxInstances: 3 });
      expect(await picture()).toEqual({
        name: route,
        held: 0,
        oldestHeldMs: 0,
        waitMs: null,
        active: 0,
        slots: 0,
        free: 0,
        starting: 0,
        starts: [],
        trouble: null,
        paused: null,
        overload: null,
        instances: [],
        settings: { maxInstances: 3 },
      });
    });

    test('says for how long the oldest client has waited, whoever holds it', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 2_000, 100);
      b.cluster.hold(route, 'c2', 60_000, 100);
      b.cluster.hold(route, 'c3', 0, 100);
      await eventually('held', async () => (await picture())?.held === 3);
      expect((await picture())?.oldestHeldMs).toBeGreaterThanOrEqual(59_990);
      expect((await picture())?.oldestHeldMs).toBeLessThan(70_000);
      b.cluster.unhold(route, 'c2');
      await eventually('one has gone', async () => (await picture())?.held === 2);
      expect((await picture())?.oldestHeldMs).toBeLessThan(20_000);
    });

    test('says that it is overloaded while any node says so, with the shortest wait', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, 100);
      a.load = { held: 1, active: 0, links: 0, overloaded: [{ route, waitMs: 900 }] };
      b.load = { held: 0, active: 0, links: 0, overloaded: [{ route, waitMs: 700 }] };
      await eventually('both say so', async () => (await picture())?.overload?.waitMs === 700);
      b.load = { held: 0, active: 0, links: 0 };
      await eventually('one says so', async () => (await picture())?.overload?.waitMs === 900);
      a.load = b.load;
      await eventually('it is over', async () => (await picture())?.overload === null);
    });

    test('names the starts that are under way, oldest first, with their age and what is left to them', async () => {
      const { observer } = world();
      await observer.setRoute(route, { startTimeout: '100s' });
      await observer.beginStarts(route, ['younger'], 100_000, await observer.startPlan(route));
      // Less is left to it.
      await observer.beginStarts(route, ['older'], 70_000, await observer.startPlan(route));
      const { starts, starting } = (await picture()) ?? { starts: [], starting: 0 };
      expect(starting).toBe(2);
      expect(starts.map(({ id }) => id)).toEqual(['older', 'younger']);
      expect(starts[0]?.leftMs).toBeGreaterThan(60_000);
      expect(starts[0]?.leftMs).toBeLessThanOrEqual(70_000);
      expect(starts[1]?.leftMs).toBeGreaterThan(90_000);
      for (const { ageMs } of starts) expect(ageMs).toBeLessThan(10_000);

      const a = await world().join('a');
      a.cluster.instance(route, instance('i1', { state: 'starting', startId: 'older' }));
      await eventually('linked', async () => (await picture())?.starts.length === 1);
      // It is linked and not ready yet.
      expect((await picture())?.starting).toBe(2);
    });
  });
}
