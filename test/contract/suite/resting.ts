import { describe, expect, test } from '@jest/globals';
import type { InstanceInfo, Peer } from '../../../src/cluster/cluster.ts';
import type { Directory, RouteBeat } from '../../../src/cluster/directory.ts';
import { DEAD_AFTER_MS, REST_DEAD_AFTER_MS } from '../../../src/cluster/limits.ts';
import { eventually } from '../../support/eventually.ts';
import { deaf, instance, type TestMember, type World } from '../world.ts';

const route = 'app.example.com';
const a: Peer = { id: 'a', address: 'a.test:1' };
const b: Peer = { id: 'b', address: 'b.test:1' };
const NOTHING: RouteBeat = { idle: 1, instances: [], gone: [] };

function describes(info: InstanceInfo): RouteBeat {
  return { ...NOTHING, instances: [{ id: info.id, claim: false, info }] };
}

/** The member has looked at the directory so often again, and has sent no beat at a route. */
async function isSilentFor(member: TestMember, beats: number): Promise<boolean> {
  const [said, until] = [member.calls('beatRoute'), member.calls('beatNode') + beats];
  await eventually(`${beats} beats`, () => member.calls('beatNode') >= until);
  return member.calls('beatRoute') === said;
}

async function rests(member: TestMember): Promise<void> {
  await eventually(`${member.peer.id} rests`, () => isSilentFor(member, 2));
}

export function resting(world: () => World): void {
  const free = async (at: string): Promise<number> => (await world().observer.startPlan(at)).free;

  describe('resting', () => {
    const known = instance('i1', { seq: 1_000, concurrency: 3 });
    const begin = async (directory: Directory): Promise<unknown> =>
      directory.beginStarts(route, ['s1'], 60_000, await directory.startPlan(route));
    const hold = { idle: 0, add: [{ id: '1', ageMs: 0 }], remove: [], maxHeld: null, reset: false };

    test.each<[string, boolean, (directory: Directory) => Promise<unknown>]>([
      ['a node says the same again', false, (directory) => directory.beatRoute(route, a, NOTHING)],
      ['another one says how many slots are idle', false, (directory) => directory.beatRoute(route, b, { ...NOTHING, idle: 5 })],
      ['a node offers slots, and nobody waits', false, (directory) => directory.offer(route, b, 2)],
      ['an instance has more requests', false, (directory) => directory.beatRoute(route, a, describes({ ...known, active: 2 }))],
      ['an instance has another limit', true, (directory) => directory.beatRoute(route, a, describes({ ...known, concurrency: 2 }))],
      [
        'an instance takes nothing any more',
        true,
        (directory) => directory.beatRoute(route, a, describes({ ...known, state: 'draining' })),
      ],
      ['there is a new instance', true, (directory) => directory.beatRoute(route, b, describes(instance('i2')))],
      ['an instance is gone', true, (directory) => directory.beatRoute(route, a, { ...NOTHING, gone: ['i1'] })],
      ['an instance may leave', true, (directory) => directory.retire(route, 'a', 'i1', 0)],
      ['an instance may not leave', false, (directory) => directory.retire(route, 'a', 'i1', 1)],
      ['a node with an instance leaves', true, (directory) => directory.leaveRoute(route, 'a', false)],
      ['a node leaves that had nothing', false, (directory) => directory.leaveRoute(route, 'b', false)],
      ['starts begin', true, begin],
      ['a start is not waited for any more', true, async (directory) => begin(directory).then(() => directory.endStart(route, 's1'))],
      ['nobody waits for a start', false, (directory) => directory.endStart(route, 's9')],
      ['all instances are to be replaced', true, (directory) => directory.restart(route)],
    ])('%s: the revision moves: %s', async (_, moves, step) => {
      const directory = world().observer;
      await directory.beatRoute(route, b, NOTHING);
      const { revision } = await directory.beatRoute(route, a, describes(known));
      expect(await directory.revisions(['other.example.com', route])).toEqual([null, revision]);
      await step(directory);
      const [now] = await directory.revisions([route]);
      expect(now === revision).toBe(!moves);
      expect((await directory.beatRoute(route, a, { ...NOTHING, instances: [] })).revision).toBe(now);
    });

    test('the revision moves as long as clients are held, once in a beat, and not any more when none is', async () => {
      const directory = world().observer;
      const seen = new Set<unknown>();
      const look = async (): Promise<void> => void seen.add((await directory.revisions([route]))[0]);
      await directory.beatRoute(route, a, { ...NOTHING, rests: true });
      await look();
      const began = performance.now();
      while (seen.size < 3) {
        await directory.hold(route, b, hold);
        await look();
      }
      expect(performance.now() - began).toBeGreaterThan(900);
      await directory.hold(route, b, { ...hold, add: [], remove: ['1'] });
      await look();
      const before = seen.size;
      const until = performance.now() + 1_200;
      while (performance.now() < until) {
        await directory.hold(route, b, { ...hold, add: [] });
        await look();
      }
      expect(seen.size).toBe(before);
    });

    test('a node with nothing new to say at its routes sends no beats there, is there, and speaks again when something changes', async () => {
      const [member, other] = [await world().join('a'), await world().join('b')];
      const [still, held, newer, forgotten] = ['still', 'held', 'newer', 'forgotten'].map((name) => `${name}.example.com`) as [
        string,
        string,
        string,
        string,
      ];
      for (const name of [still, held, newer, forgotten]) member.idle(name, 2);
      await rests(member);
      // Longer than a node that does not rest may be silent.
      expect(await isSilentFor(member, 1 + DEAD_AFTER_MS / 1_000)).toBe(true);
      for (const name of [still, held, newer, forgotten]) expect(await free(name)).toBe(2);

      other.cluster.hold(held, 'c1', 0, 10);
      await member.hears('want', ({ asker, route: at }) => asker.id === 'b' && at === held, 1_000);
      other.cluster.unhold(held, 'c1');
      other.cluster.instance(newer, instance('i1'));
      await member.hears('newest', ({ route: at, instance: id }) => at === newer && id === 'i1');
      // Others took it for dead, and it lives.
      expect(await world().observer.leaveRoute(forgotten, 'a', true)).toBe(true);
      expect(await free(forgotten)).toBe(0);
      await eventually('it says all again', async () => (await free(forgotten)) === 2, 4_000);

      await rests(member);
      await world().backing.lose();
      const began = performance.now();
      await eventually('all is there again', async () => {
        const { routes } = await world().observer.snapshot();
        return [still, forgotten].every((name) => routes.find((one) => one.name === name)?.free === 2);
      });
      expect(performance.now() - began).toBeLessThan(2_300);
    });

    test('a node that rests offers its slots with the next beat, although every message about the client was lost', async () => {
      const [member, other] = [await world().join('a', deaf), await world().join('b')];
      member.idle(route, 1);
      await rests(member);
      other.cluster.hold(route, 'c1', 0, 10);
      await member.hears('want', ({ asker }) => asker.id === 'b');
    });

    test('what a node had that was killed while it rested is removed by others, also when it had been heard just before', async () => {
      const [member] = [await world().join('a'), await world().join('b')];
      member.idle(route, 2);
      await rests(member);
      const late = { id: 'late', address: 'late.test:1' };
      const beat = { ...late, version: '1', startedMs: 0, held: 0, active: 0, links: 0 };
      await world().observer.beatNode(beat);
      await world().observer.enterRoutes('late', ['late.example.com']);
      await member.kill();
      const began = performance.now();
      while ((await world().observer.isListed('late')) || (await free(route)) > 0) {
        await world().observer.beatRoute('late.example.com', late, { ...NOTHING, idle: 3, rests: true });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(await free('late.example.com')).toBe(3);
      await eventually('nothing is left', async () => (await free('late.example.com')) === 0);
      await eventually('it is forgotten', async () => (await world().observer.routesOf('late')).length === 0);
      expect(performance.now() - began).toBeLessThan(REST_DEAD_AFTER_MS / 2);
    });
  });
}
