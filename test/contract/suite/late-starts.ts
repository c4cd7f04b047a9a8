import { describe, expect, test } from '@jest/globals';
import type { InstanceInfo } from '../../../src/cluster/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

export function lateStarts(world: () => World): void {
  const plan = () => world().observer.startPlan(route);

  /** An instance on its first link. */
  const fresh = (id: string, startId?: string, said: Partial<InstanceInfo> = {}): InstanceInfo =>
    instance(id, { seq: 0, placesMax: 2, ...(startId === undefined ? {} : { startId }), ...said });

  async function begun(...ids: string[]): Promise<void> {
    expect(await world().observer.beginStarts(route, ids, 60_000, await plan())).toBe(true);
  }

  async function givenUp(id: string): Promise<void> {
    await begun(id);
    await world().observer.endStart(route, id);
  }

  describe('starts that were given up', () => {
    test('are turned away when all places are taken, and are never counted', async () => {
      const a = await world().join('a');
      await givenUp('late');
      await begun('s1', 's2');
      a.cluster.instance(route, fresh('i1', 's1'));
      a.cluster.instance(route, fresh('i2', 's2'));
      await eventually('both are there', async () => (await plan()).ready === 2);
      a.cluster.instance(route, fresh('i3', 'late'));
      expect(await a.hears('turnedAway')).toMatchObject({ route, instance: 'i3' });
      // What it says before it has heard that.
      a.cluster.instance(route, fresh('i3', 'late', { active: 1 }));
      expect(await plan()).toMatchObject({ ready: 2, starting: 0, slots: 2 * instance('i').concurrency });
      await eventually('it is seen to leave', async () => {
        const [shown] = (await world().observer.snapshot()).routes;
        return shown?.instances.find(({ id }) => id === 'i3')?.state === 'draining';
      });
      expect(a.all('turnedAway')).toHaveLength(1);
    });

    test('take the place of one that is under way, whose own instance is turned away then', async () => {
      const a = await world().join('a');
      await givenUp('late');
      await begun('s1', 's2');
      a.cluster.instance(route, fresh('i1', 'late'));
      await eventually('it is there', async () => (await plan()).ready === 1);
      expect((await plan()).starting).toBe(1);
      a.cluster.instance(route, fresh('i2', 's2'));
      await eventually('both are there', async () => (await plan()).ready === 2);
      a.cluster.instance(route, fresh('i3', 's1'));
      expect(await a.hears('turnedAway')).toMatchObject({ instance: 'i3' });
      expect(await plan()).toMatchObject({ ready: 2, starting: 0 });
    });

    test('are welcome where there is room', async () => {
      const a = await world().join('a');
      await givenUp('late');
      a.cluster.instance(route, fresh('i1', 'late'));
      await eventually('it is there', async () => (await plan()).ready === 1);
      expect(a.all('turnedAway')).toEqual([]);
    });

    test('an instance that was linked before is none, nor one that nobody started', async () => {
      const a = await world().join('a');
      for (const [id, said] of [
        ['i1', { seq: 1_700_000_000_001, startId: 'long-gone' }],
        ['i2', { seq: 1_700_000_000_002, startId: 'long-gone-too' }],
        ['i3', { seq: 1_700_000_000_003, startId: 'and-this' }],
      ] as const)
        a.cluster.instance(route, instance(id, { placesMax: 2, ...said }));
      a.cluster.instance(route, fresh('i4'));
      await eventually('all are there', async () => (await plan()).ready === 4);
      expect(a.all('turnedAway')).toEqual([]);
    });
  });

  test('an instance that says no start id is that of the oldest start', async () => {
    const a = await world().join('a');
    await begun('s1');
    await begun('s2');
    a.cluster.instance(route, fresh('i1'));
    await eventually('it is there', async () => (await plan()).ready === 1);
    const [shown] = (await world().observer.snapshot()).routes;
    expect(shown?.starts.map(({ id }) => id)).toEqual(['s2']);
    // It said it once.
    a.cluster.instance(route, fresh('i1', undefined, { active: 1 }));
    await eventually('said', async () => (await world().observer.snapshot()).routes[0]?.instances[0]?.active === 1);
    expect((await plan()).starting).toBe(1);
  });
}
