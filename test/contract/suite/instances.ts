import { describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

export function instances(world: () => World): void {
  const stored = async () => (await world().observer.snapshot()).routes.find(({ name }) => name === route)?.instances ?? [];
  const ready = async (): Promise<number> => (await world().observer.startPlan(route)).ready;

  describe('instances', () => {
    test('an instance is in the picture with all that it said, and later numbers follow with the beat', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1', { seq: 1_700_000_000_123, concurrency: 4, version: '1.2.3' }));
      await eventually('known', async () => (await stored()).length === 1);
      const said = { id: 'i1', seq: 1_700_000_000_123, concurrency: 4, active: 0, node: 'a', state: 'ready', version: '1.2.3' };
      expect(await stored()).toEqual([said]);

      a.cluster.instance(route, instance('i1', { seq: 1_700_000_000_123, concurrency: 4, active: 3 }));
      await eventually('the new number is known', async () => (await stored())[0]?.active === 3);
    });

    test('all nodes hear which ready instance is the newest, also when it leaves', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.instance(route, instance('old', { seq: 1 }));
      b.cluster.instance(route, instance('new', { seq: 2 }));
      b.cluster.instance(route, instance('warming', { seq: 3, state: 'starting' }));
      await Promise.all([a.hears('newest', ({ instance: id }) => id === 'new'), b.hears('newest', ({ instance: id }) => id === 'new')]);
      expect([...a.all('newest'), ...b.all('newest')].filter(({ instance: id }) => id === 'warming')).toEqual([]);

      b.forget();
      a.forget();
      b.cluster.instanceGone(route, 'new');
      await Promise.all([a.hears('newest', ({ instance: id }) => id === 'old'), b.hears('newest', ({ instance: id }) => id === 'old')]);
    });

    test('the ready ones and their homes are told who asks, those to be replaced only while there are no others', async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      const told = async () => {
        const { ready: said } = await observer.beatRoute(route, a.peer, { idle: 0, instances: [], gone: [], asksReady: true });
        return said;
      };
      a.cluster.instance(route, instance('i1', { seq: 1 }));
      a.cluster.instance(route, instance('warming', { seq: 2, state: 'starting' }));
      b.cluster.instance(route, instance('i3', { seq: 3 }));
      b.cluster.instance(route, instance('paused', { seq: 4, state: 'paused', concurrency: 0 }));
      const both = [
        { id: 'i3', node: 'b' },
        { id: 'i1', node: 'a' },
      ];
      await eventually('all are known', async () => (await stored()).length === 4);
      expect(await told()).toEqual(both);
      expect(await observer.beatRoute(route, a.peer, { idle: 0, instances: [], gone: [] })).not.toHaveProperty('ready');
      await observer.restart(route);
      expect(await told()).toEqual(both);
      b.cluster.instance(route, instance('i5', { seq: 5 }));
      await eventually('it is known', async () => (await stored()).length === 5);
      expect(await told()).toEqual([{ id: 'i5', node: 'b' }]);
    });

    test('an instance that has a new home is not removed by its old one', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.instance(route, instance('i1'));
      await eventually('at a', async () => (await stored())[0]?.node === 'a');
      b.cluster.instance(route, instance('i1'));
      await eventually('at b', async () => (await stored())[0]?.node === 'b');
      // The old home still says what it last heard, and then that the link is gone.
      a.cluster.instance(route, instance('i1', { active: 5 }));
      a.cluster.instanceGone(route, 'i1');
      a.cluster.instance(route, instance('i2'));
      await eventually('i2 is known', async () => (await stored()).some(({ id }) => id === 'i2'));
      expect((await stored()).find(({ id }) => id === 'i1')).toMatchObject({ node: 'b', active: 0 });
    });

    test('an instance comes back to a home it had before', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.instance(route, instance('i1'));
      await eventually('at a', async () => (await stored())[0]?.node === 'a');
      b.cluster.instance(route, instance('i1'));
      await eventually('at b', async () => (await stored())[0]?.node === 'b');
      b.cluster.instanceGone(route, 'i1');
      await eventually('a says it again', async () => (await stored())[0]?.node === 'a');
    });

    test('an instance that comes without a number gets one that is larger than all before it, and its node hears that', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      const numbers: number[] = [];
      for (const [member, id] of [
        [a, 'i1'],
        [b, 'i2'],
        [a, 'i3'],
        [b, 'i0'],
      ] as const) {
        member.cluster.instance(route, instance(id, { seq: 0, state: 'starting' }));
        numbers.push((await member.hears('numbered', (said) => said.instance === id)).seq);
        // Said again by a linker that has not heard its number yet, it keeps that.
        member.cluster.instance(route, instance(id, { seq: 0 }));
        await member.hears('newest', (said) => said.instance === id);
      }
      expect(numbers.toSorted((x, y) => x - y)).toEqual(numbers);
      expect(new Set(numbers).size).toBe(4);
      expect((await stored()).map(({ id, seq }) => [id, seq])).toEqual([
        ['i0', numbers[3]],
        ['i3', numbers[2]],
        ['i2', numbers[1]],
        ['i1', numbers[0]],
      ]);
    });

    test('numbers that a clock has put far ahead are beaten all the same, and so are those that nodes bring back after a loss', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      const ahead = Date.now() + 3_600_000;
      a.cluster.instance(route, instance('old', { seq: ahead }));
      await eventually('it is known', async () => (await stored()).length === 1);
      b.cluster.instance(route, instance('new', { seq: 0 }));
      const { seq } = await b.hears('numbered', (said) => said.instance === 'new');
      expect(seq).toBeGreaterThan(ahead);
      await a.hears('newest', (said) => said.instance === 'new');
      await world().backing.lose();
      await eventually('both are known again', async () => (await stored()).length === 2);
      expect((await stored()).map((one) => [one.id, one.seq])).toEqual([
        ['new', seq],
        ['old', ahead],
      ]);
      a.cluster.instance(route, instance('newer', { seq: 0 }));
      expect((await a.hears('numbered', (said) => said.instance === 'newer')).seq).toBeGreaterThan(seq);
    });

    test('of two instances that ask to leave at once, the minimum keeps one', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.instance(route, instance('i1'));
      b.cluster.instance(route, instance('i2'));
      await eventually('both are ready', async () => (await ready()) === 2);
      const answers = await Promise.all([a.cluster.mayRetire(route, 'i1', 1), b.cluster.mayRetire(route, 'i2', 1)]);
      expect(answers.toSorted()).toEqual([false, true]);
      expect(await ready()).toBe(1);
    });

    test('who was allowed to leave may ask again, and is not counted as ready whatever it says', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1'));
      await eventually('ready', async () => (await ready()) === 1);
      expect(await a.cluster.mayRetire(route, 'i1', 0)).toBe(true);
      a.cluster.instance(route, instance('i1', { active: 1 }));
      a.cluster.instance(route, instance('i2', { concurrency: 2 }));
      await eventually('i2 is ready', async () => (await ready()) > 0);
      expect(await world().observer.startPlan(route)).toMatchObject({ ready: 1, slots: 2 });
      expect(await a.cluster.mayRetire(route, 'i1', 0)).toBe(true);
      expect((await stored()).find(({ id }) => id === 'i1')?.state).toBe('draining');
    });

    test('an instance that the directory does not know, or that is another node’s, may not leave', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      expect(await a.cluster.mayRetire(route, 'i1', 0)).toBe(false);
      a.cluster.instance(route, instance('i1'));
      b.cluster.instance(route, instance('i2'));
      await eventually('ready', async () => (await ready()) === 2);
      expect(await b.cluster.mayRetire(route, 'i1', 0)).toBe(false);
      await a.kill();
      expect(await a.cluster.mayRetire(route, 'i1', 0)).toBe(false);
    });

    test('a route is linked where an instance is, anywhere in the cluster, the most specific name first', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      const names = ['www.example.com', '*.example.com', '*'];
      expect(await a.cluster.linkedRoute(names)).toBeNull();
      b.cluster.instance('*.example.com', instance('i1'));
      await eventually('found', async () => (await a.cluster.linkedRoute(names)) === '*.example.com');
      expect(await b.cluster.linkedRoute(names)).toBe('*.example.com');
      expect(await a.cluster.linkedRoute(['other.example.org'])).toBeNull();

      const before = a.cluster.commands;
      for (let i = 0; i < 100; i++) await a.cluster.linkedRoute(names);
      expect(a.cluster.commands - before).toBeLessThan(10);
    });
  });
}
