import { describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import type { World } from '../world.ts';

const route = 'app.example.com';

export function holding(world: () => World): void {
  const held = async (): Promise<number> => (await world().observer.startPlan(route)).held;

  describe('holding', () => {
    test('a hold that is over in the same turn is never registered', async () => {
      const a = await world().join('a');
      const before = a.cluster.commands;
      for (let i = 0; i < 1_000; i++) {
        a.cluster.hold(route, `c${i}`, 0, 100);
        a.cluster.unhold(route, `c${i}`);
      }
      a.cluster.hold(route, 'last', 0, 100);
      await a.hears('start');
      expect(a.cluster.commands - before).toBeLessThan(20);
      expect(a.all('refused')).toEqual([]);
      expect(await held()).toBe(1);
    });

    test('a hold that is over while it is being registered leaves nothing behind', async () => {
      const a = await world().join('a');
      a.cluster.hold(route, 'c1', 0, 100);
      await new Promise(setImmediate);
      a.cluster.unhold(route, 'c1');
      a.cluster.hold(route, 'c2', 0, 100);
      await a.hears('start');
      await eventually('one is held', async () => (await held()) === 1);
    });

    test('a client that goes back to the queue keeps its age', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, 100);
      await a.hears('start');
      a.cluster.unhold(route, 'c1');
      a.cluster.hold(route, 'c1', 3_000, 100);
      await eventually('the age is known', () => b.cluster.olderElsewhere(route, 2_500));
      expect(await held()).toBe(1);
    });

    test('ten thousand clients that come in one turn are a few commands', async () => {
      const a = await world().join('a');
      const before = a.cluster.commands;
      for (let i = 0; i < 10_000; i++) a.cluster.hold(route, `c${i}`, 0, 20_000);
      await eventually('all are registered', async () => (await held()) === 10_000);
      expect(a.cluster.commands - before).toBeLessThan(60);

      for (let i = 0; i < 10_000; i++) a.cluster.unhold(route, `c${i}`);
      await eventually('none is left', async () => (await held()) === 0);
      expect(a.cluster.commands - before).toBeLessThan(120);
    });

    test('the bound on held clients is the whole cluster’s', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      for (let i = 0; i < 3; i++) a.cluster.hold(route, `a${i}`, 0, 5);
      await eventually('three are held', async () => (await held()) === 3);
      for (let i = 0; i < 4; i++) b.cluster.hold(route, `b${i}`, 100 - i, 5);

      await eventually('two are refused', () => b.all('refused').length === 2);
      expect(b.all('refused').map(({ id }) => id)).toEqual(['b2', 'b3']);
      expect(a.all('refused')).toEqual([]);
      expect(await held()).toBe(5);
    });

    test('a refused client leaves no trace and the next one finds its place', async () => {
      const a = await world().join('a');
      a.cluster.hold(route, 'c1', 0, 1);
      a.cluster.hold(route, 'c2', 0, 1);
      expect(await a.hears('refused')).toMatchObject({ id: 'c2' });
      a.cluster.unhold(route, 'c2');
      a.cluster.unhold(route, 'c1');
      await eventually('none is held', async () => (await held()) === 0);
      a.cluster.hold(route, 'c3', 0, 1);
      await eventually('one is held', async () => (await held()) === 1);
      expect(a.all('refused')).toHaveLength(1);
    });

    test('a start is asked for again and again while clients are held, but not more than once in 50 ms', async () => {
      const a = await world().join('a');
      for (let i = 0; i < 100; i++) {
        a.cluster.hold(route, `c${i}`, 0, 1_000);
        await new Promise(setImmediate);
      }
      await eventually('asked five times', () => a.all('start').length >= 5);
      const times = a.all('start').map(({ at }) => at);
      const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
      // What is measured here is when it was heard: a busy machine delays one more than the next.
      expect(Math.min(...gaps)).toBeGreaterThan(40);
      expect(Math.max(...gaps)).toBeLessThan(1_000);

      for (let i = 0; i < 100; i++) a.cluster.unhold(route, `c${i}`);
      await eventually('none is held', async () => (await held()) === 0);
      const asked = a.all('start').length;
      await eventually('a beat has passed', async () => ((await a.cluster.snapshot()).nodes[0]?.heartbeatAgeMs ?? 0) > 500);
      expect(a.all('start').length).toBe(asked);
    });

    test('idle slots that come and go while nobody waits send nothing but beats', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.idle(route, 10);
      await eventually('known', async () => (await world().observer.startPlan(route)).free === 10);
      const before = b.cluster.commands;
      const began = performance.now();
      while (performance.now() - began < 300) {
        for (let i = 0; i < 100; i++) b.idle(route, i % 11);
        await new Promise(setImmediate);
      }
      // One beat of the node, one of the route, and the comparison of the configured routes.
      expect(b.cluster.commands - before).toBeLessThanOrEqual(6);
      expect(a.all('coming')).toEqual([]);
    });
  });
}
