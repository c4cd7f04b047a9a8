import { describe, expect, test } from '@jest/globals';
import { PAUSED_ROUTES_MAX } from '../../../src/cluster/pauses.ts';
import { eventually } from '../../support/eventually.ts';
import type { World } from '../world.ts';

const route = 'app.example.com';

export function pauses(world: () => World): void {
  const pausedNow = async () => (await world().observer.pauses()).pauses;
  const picture = async () => (await world().observer.snapshot()).routes.find(({ name }) => name === route)?.paused;

  describe('a paused route', () => {
    test('is known to every node, until it is resumed', async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      const pause = await observer.pause(route, 60_000, 'ignore');
      expect(pause).toMatchObject({ tunnels: 'ignore' });
      expect((pause?.untilMs ?? 0) - (pause?.sinceMs ?? 0)).toBe(60_000);
      for (const node of [a, b]) await node.hears('pauses', ({ pauses }) => pauses.get(route)?.id === pause?.id);
      const c = await world().join('c');
      await c.hears('pauses', ({ pauses }) => pauses.get(route)?.id === pause?.id && (pauses.get(route)?.leftMs ?? 0) > 30_000);
      expect(await observer.resume(route)).toBe(true);
      for (const node of [a, b, c]) await node.hears('pauses', ({ pauses }) => pauses.size === 0);
      expect(await observer.resume(route)).toBe(false);
      expect((await pausedNow()).size).toBe(0);
    });

    test('is no setting: the route stays as configured as it was', async () => {
      const { observer } = world();
      await observer.pause(route, 60_000, 'wait');
      expect([await observer.route(route), (await observer.routes()).size]).toEqual([null, 0]);
      await observer.setRoute(route, { maxInstances: 3 });
      await observer.resume(route);
      expect(await observer.route(route)).toEqual({ maxInstances: 3 });
      await observer.setRoute(route, null);
      await observer.pause(route, 60_000, 'wait');
      expect(await observer.route(route)).toBeNull();
    });

    test('can be paused for longer, or for less: the last word counts, and has a number of its own', async () => {
      const { observer } = world();
      const first = await observer.pause(route, 60_000, 'wait');
      const second = await observer.pause(route, 5_000, 'wait');
      expect(second?.id).toBeGreaterThan(first?.id ?? Number.POSITIVE_INFINITY);
      expect(second?.sinceMs).toBe(first?.sinceMs);
      expect(second?.untilMs).toBeLessThan(first?.untilMs ?? 0);
      expect([...(await pausedNow()).values()]).toEqual([second]);
    });

    test('is over by its time, and forgotten when a node says so', async () => {
      const { observer } = world();
      await observer.pause(route, 60_000, 'wait');
      await observer.forgetPause(route);
      expect((await pausedNow()).size).toBe(1);
      await observer.pause(route, 1, 'wait');
      await eventually('it is over', async () => (await pausedNow()).size === 0);
      await observer.forgetPause(route);
      expect((await observer.declarations()).all.filter(({ kind }) => kind === 'pauses').map(({ value }) => value)).toEqual([null]);
      expect(await observer.resume(route)).toBe(false);
    });

    test('outlives the loss of the directory', async () => {
      const { observer } = world();
      const a = await world().join('a');
      const pause = await observer.pause(route, 60_000, 'wait');
      await a.hears('pauses', ({ pauses }) => pauses.size === 1);
      a.forget();
      await world().backing.lose();
      await eventually('it is restored', async () => (await pausedNow()).get(route)?.id === pause?.id);
      expect(a.all('pauses').filter(({ pauses }) => pauses.get(route)?.id !== pause?.id)).toEqual([]);
    });

    test('shows for how long, and what nodes say of it', async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      const pause = await observer.pause(route, 60_000, 'wait');
      const said = { route, id: pause?.id ?? 0, tunnels: 1 };
      a.load = { ...a.load, paused: [{ ...said, inFlight: 3 }] };
      b.load = { ...b.load, paused: [{ ...said, inFlight: 2 }] };
      a.cluster.beatSoon();
      b.cluster.beatSoon();
      await eventually('both have said it', async () => (await picture())?.inFlight === 5);
      const shown = await picture();
      expect((shown?.sinceMs ?? -1) + (shown?.leftMs ?? 0)).toBeGreaterThan(59_990);
      expect((shown?.sinceMs ?? -1) + (shown?.leftMs ?? 0)).toBeLessThan(60_010);
      const nodes = await observer.nodes();
      expect(nodes.map(({ id, paused }) => [id, paused?.[0]?.inFlight]).toSorted()).toEqual([
        ['a', 3],
        ['b', 2],
      ]);
      await observer.resume(route);
      expect(await picture()).toBeUndefined();
    });

    test('starts nothing: the plan says so', async () => {
      const { observer } = world();
      expect((await observer.startPlan(route)).pausedMs).toBeUndefined();
      await observer.pause(route, 60_000, 'wait');
      expect((await observer.startPlan(route)).pausedMs).toBeGreaterThan(1_000);
      expect((await observer.startPlan('other.example.com')).pausedMs).toBeUndefined();
    });

    test(`is one of at most ${PAUSED_ROUTES_MAX}`, async () => {
      const { observer } = world();
      for (let i = 0; i < PAUSED_ROUTES_MAX; i++) expect(await observer.pause(`r${i}.example.com`, 60_000, 'wait')).not.toBeNull();
      expect(await observer.pause(route, 60_000, 'wait')).toBeNull();
      expect(await observer.pause('r3.example.com', 30_000, 'wait')).not.toBeNull();
      await observer.resume('r4.example.com');
      expect(await observer.pause(route, 60_000, 'wait')).not.toBeNull();
    });
  });
}
