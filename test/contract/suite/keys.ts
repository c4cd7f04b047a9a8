import { describe, expect, test } from '@jest/globals';
import type { InstanceInfo } from '../../../src/cluster/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com~alice';

/** Each key of a route is a route of its own in the directory. */
export function keys(world: () => World): void {
  const plan = () => world().observer.startPlan(route);
  const strict = (id: string, said: Partial<InstanceInfo> = {}): InstanceInfo =>
    instance(id, { seq: 0, placesMax: 1, placesAreStrict: true, ...said });

  describe('an instance of a key, where one may be there', () => {
    test('is entered, and its node hears that, also when it comes with a number', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, strict('i1', { seq: 7 }));
      expect(await a.hears('numbered')).toMatchObject({ route, instance: 'i1', seq: 7 });
    });

    test.each<[string, Partial<InstanceInfo>]>([
      ['that nobody started', {}],
      ['that had a number before', { seq: 9, startId: 'old' }],
    ])('%s is turned away while another one is there, and while that one leaves', async (_what, said) => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.instance(route, strict('i1'));
      await a.hears('numbered');
      b.cluster.instance(route, strict('i2', said));
      expect(await b.hears('turnedAway')).toMatchObject({ instance: 'i2' });
      expect(b.all('numbered')).toEqual([]);
      b.cluster.instanceGone(route, 'i2');
      a.cluster.instance(route, strict('i1', { state: 'draining' }));
      await eventually('it leaves', async () => (await plan()).leaving === 1);
      b.cluster.instance(route, strict('i3', said));
      await b.hears('turnedAway', ({ instance: id }) => id === 'i3');
      a.cluster.instanceGone(route, 'i1');
      await eventually('the places are free', async () => (await plan()).leaving <= 1);
    });

    test('takes the place of a start that is under way', async () => {
      const { observer } = world();
      const a = await world().join('a');
      expect(await observer.beginStarts(route, ['s1'], 60_000, await plan())).toBe(true);
      a.cluster.instance(route, strict('i1', { startId: 'other' }));
      await a.hears('numbered');
      expect(await plan()).toMatchObject({ ready: 1, starting: 0 });
      a.cluster.instance(route, strict('i2', { startId: 's1' }));
      expect(await a.hears('turnedAway')).toMatchObject({ instance: 'i2' });
    });
  });

  test('a key has the settings of its route', async () => {
    const { observer } = world();
    await observer.setRoute('app.example.com', { key: 'host', maxInstances: 3 });
    expect(await observer.route(route)).toEqual({ key: 'host', maxInstances: 3 });
    await observer.setRoute('app.example.com', null);
    expect(await observer.route(route)).toBeNull();
  });

  test('a key is paused with its route', async () => {
    const { observer } = world();
    await observer.pause('app.example.com', 60_000, 'wait');
    expect((await plan()).pausedMs).toBeGreaterThan(0);
    await observer.resume('app.example.com');
    expect((await plan()).pausedMs).toBeUndefined();
  });

  describe('places of keys', () => {
    test('are so many, until their time is over', async () => {
      const { keyPlaces } = world().observer;
      expect(await keyPlaces.take('app.example.com', 'a', 2, 60_000)).toBe(true);
      expect(await keyPlaces.take('app.example.com', 'b', 2, 1)).toBe(true);
      await eventually('one is free', async () => keyPlaces.take('app.example.com', 'c', 2, 60_000));
      expect(await keyPlaces.take('app.example.com', 'd', 2, 60_000)).toBe(false);
      expect(await keyPlaces.take('app.example.com', 'a', 2, 60_000)).toBe(true);
      expect(await keyPlaces.take('other.example.com', 'd', 2, 60_000)).toBe(true);
    });

    test('are kept for those that are awake, however many these are', async () => {
      const { keyPlaces } = world().observer;
      const kept = ['a', 'b', 'c'].map((key) => ({ key, forMs: 60_000, atLeast: true }));
      await keyPlaces.keep('app.example.com', kept);
      expect(await keyPlaces.take('app.example.com', 'd', 2, 60_000)).toBe(false);
      await keyPlaces.keep('app.example.com', [{ key: 'a', forMs: 1, atLeast: true }]);
      await keyPlaces.keep('app.example.com', [
        { key: 'b', forMs: 1, atLeast: false },
        { key: 'c', forMs: 1, atLeast: false },
      ]);
      await eventually('two are free', async () => keyPlaces.take('app.example.com', 'd', 2, 60_000));
      expect(await keyPlaces.take('app.example.com', 'e', 2, 60_000)).toBe(false);
    });
  });
}
