import { describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { instance, type TestMember, type World } from '../world.ts';

const route = 'app.example.com';

export function membership(world: () => World): void {
  const plan = () => world().observer.startPlan(route);
  const nodes = async (): Promise<string[]> => (await world().observer.snapshot()).nodes.map(({ id }) => id);

  /** A client, an instance and two idle slots at one route. */
  async function settle(member: TestMember): Promise<void> {
    member.cluster.hold(route, 'c1', 0, 100);
    member.cluster.instance(route, instance(`of${member.peer.id}`, { concurrency: 3 }));
    member.idle(route, 2);
    await eventually('settled', async () => (await plan()).ready > 0 && (await plan()).free > 0);
  }

  describe('membership', () => {
    test('the picture shows nodes with what they say of themselves, and routes with what lies there', async () => {
      const a = await world().prepare('a');
      a.load = { held: 1, active: 5, links: 2, draining: true, holds: { 0.1: 3, '+Inf': 1 }, coldStarts: { 1: 1 } };
      await a.start();
      await settle(a);
      const {
        nodes: [node],
        routes,
      } = await world().observer.snapshot();
      expect(node).toEqual({
        id: 'a',
        address: 'a.test:9080',
        version: '1.2.3',
        held: 1,
        active: 5,
        links: 2,
        draining: true,
        holds: { 0.1: 3, '+Inf': 1 },
        coldStarts: { 1: 1 },
        heartbeatAgeMs: expect.any(Number),
      });
      expect(node?.heartbeatAgeMs).toBeLessThan(2_000);
      expect(routes).toEqual([
        {
          name: route,
          held: 1,
          oldestHeldMs: expect.any(Number),
          waitMs: 0,
          active: 0,
          slots: 3,
          free: 2,
          starting: 0,
          starts: [],
          trouble: null,
          paused: null,
          overload: null,
          instances: [expect.objectContaining({ id: 'ofa', node: 'a' })],
          settings: null,
        },
      ]);
    });

    test('a node is asked to leave by another one, or by itself', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      expect(await a.cluster.askToLeave('b')).toBe(true);
      await b.hears('leave');
      expect(a.all('leave')).toMatchObject([]);
      expect(await a.cluster.askToLeave('a', 2_000)).toBe(true);
      expect(await a.hears('leave')).toMatchObject({ delayMs: 2_000 });
      expect(await a.cluster.askToLeave('nobody')).toBe(false);
    });

    test('a node says that it is connected when it has joined', async () => {
      const a = await world().join('a');
      expect(a.all('connected')).toMatchObject([{ connected: true }]);
      expect(a.cluster.connected).toBe(true);
    });

    test('a node that stops leaves nothing behind', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await settle(a);
      await a.cluster.stop();
      expect(await nodes()).toEqual(['b']);
      expect(await plan()).toMatchObject({ held: 0, free: 0, ready: 0 });
      expect(await world().observer.routesOf('a')).toEqual([]);
      expect(b.all('coming')).toEqual([]);
    });

    test('a node that was killed is gone with all it had after three seconds', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await settle(a);
      await a.kill();
      const began = performance.now();
      expect(await nodes()).toEqual(['a', 'b']);
      await eventually('it is off the list', async () => (await nodes()).length === 1);
      await eventually('nothing of it is left', async () => (await world().observer.routesOf('a')).length === 0);
      expect(performance.now() - began).toBeGreaterThan(1_900);
      expect(performance.now() - began).toBeLessThan(5_000);
      // Its last beat at the route may be some milliseconds younger than the one by which it was found dead.
      await eventually('no decision counts it', async () => {
        const { held, free, ready } = await plan();
        return held + free + ready === 0;
      });
      expect(b.cluster.connected).toBe(true);
    });

    test('a node that comes back under its id does not have the clients of its former life', async () => {
      const a = await world().join('a');
      await settle(a);
      await a.kill();
      const again = await world().join('a');
      expect(await plan()).toMatchObject({ held: 0, free: 0, ready: 0 });
      again.cluster.hold(route, 'c1', 0, 100);
      await again.hears('start');
      expect((await plan()).held).toBe(1);
    });

    test('a directory that lost everything is whole again within two beats', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await settle(a);
      for (let i = 2; i <= 1_200; i++) a.cluster.hold(route, `c${i}`, 0, 2_000);
      b.cluster.instance('other.example.com', instance('ofb'));
      await eventually('known', async () => (await plan()).held === 1_200 && (await world().observer.linked('other.example.com')));
      await world().backing.lose();
      const began = performance.now();

      await eventually('whole', async () => {
        const { nodes: found, routes } = await world().observer.snapshot();
        const [one, other] = routes;
        return found.length === 2 && one?.held === 1_200 && one.free === 2 && one.instances.length === 1 && other?.instances.length === 1;
      });
      expect(performance.now() - began).toBeLessThan(2_300);
      expect(a.all('refused')).toEqual([]);
    });

    test('clients that were accepted are not refused after a loss, although others took their places', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      for (let i = 0; i < 3; i++) a.cluster.hold(route, `c${i}`, 0, 3);
      await eventually('held', async () => (await plan()).held === 3);
      await world().backing.lose();
      for (let i = 0; i < 3; i++) b.cluster.hold(route, `c${i}`, 0, 3);
      await eventually('all are held', async () => (await plan()).held >= 3 && (await nodes()).length === 2 && (await plan()).held !== 3);
      expect(a.all('refused')).toEqual([]);
    });

    test('clients that the directory has too many or too few are set right with the beats', async () => {
      const a = await world().join('a');
      for (let i = 0; i < 5; i++) a.cluster.hold(route, `c${i}`, 0, 100);
      await eventually('held', async () => (await plan()).held === 5);
      const ghosts = {
        idle: 0,
        add: [
          { id: 'ghost', ageMs: 9_000 },
          { id: 'c1', ageMs: 0 },
        ],
        remove: ['c2', 'c3', 'c4'],
        maxHeld: null,
        reset: false,
      };
      await world().observer.hold(route, a.peer, ghosts);
      expect((await plan()).held).toBe(3);
      await eventually('set right', async () => (await plan()).held === 5);
      for (let i = 0; i < 5; i++) a.cluster.unhold(route, `c${i}`);
      await eventually('none is left', async () => (await plan()).held === 0);
    });

    test('a route at which a node has nothing any more is left', async () => {
      const a = await world().join('a');
      a.cluster.hold(route, 'c1', 0, 100);
      await a.hears('start');
      expect(await world().observer.routesOf('a')).toEqual([route]);
      a.cluster.unhold(route, 'c1');
      await eventually('left', async () => (await world().observer.routesOf('a')).length === 0, 8_000);
      a.forget();
      a.cluster.hold(route, 'c2', 0, 100);
      await a.hears('start');
      expect(await world().observer.routesOf('a')).toEqual([route]);
    });
  });
}
