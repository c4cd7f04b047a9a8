import { describe, expect, test } from '@jest/globals';
import type { InstanceInfo } from '../../../src/cluster/cluster.ts';
import { LOST_AFTER_MS, PROVED_AFTER_MS } from '../../../src/cluster/start-limits.ts';
import type { EndedStart } from '../../../src/cluster/starts.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type TestMember, type World } from '../world.ts';

const route = 'app.example.com';

export function endedStarts(world: () => World): void {
  const plan = () => world().observer.startPlan(route);
  const ended = () => world().observer.endedStarts(route);
  const begun = async (timeoutMs: number, ...ids: string[]) =>
    expect(await world().observer.beginStarts(route, ids, timeoutMs, await plan())).toBe(true);
  const of = (id: string, startId: string, said: Partial<InstanceInfo> = {}): InstanceInfo =>
    instance(id, { seq: 0, placesMax: 2, startId, answered: false, ...said });
  const ends = async (...all: EndedStart[]) => {
    const inOrder = (some: readonly EndedStart[]) => some.map(({ startId, how }) => `${startId} ${how}`).sort();
    await eventually(`ends: ${inOrder(all).join(', ')}`, async () => (await ended()).length >= all.length, 20_000);
    expect(inOrder(await ended())).toEqual(inOrder(all));
  };
  const ready = (count: number) => eventually(`${count} are ready`, async () => (await plan()).ready === count);
  const comes = async (at: TestMember, id: string, startId: string, said: Partial<InstanceInfo> = {}) => {
    at.cluster.instance(route, of(id, startId, said));
    await eventually(
      `${id} is there`,
      async () => (await world().observer.snapshot()).routes[0]?.instances.some((one) => one.id === id) === true,
    );
  };

  describe('how starts ended', () => {
    test('is kept, and is taken once', async () => {
      const { observer } = world();
      await begun(60_000, 'ok', 'bad');
      await observer.endStart(route, 'ok');
      await observer.endStart(route, 'bad', { reason: 'exited with 1', wantedAgain: false });
      await observer.endStart(route, 'unknown', { reason: 'exited with 1', wantedAgain: false });
      await ends({ startId: 'bad', how: 'command_failed' });
      const [first, second] = await Promise.all([observer.takeEnded(route, await ended()), observer.takeEnded(route, await ended())]);
      expect([...first, ...second]).toEqual([{ startId: 'bad', how: 'command_failed' }]);
      expect(await ended()).toEqual([]);
    });

    test('not linked in time; and turned away when it comes after that', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await begun(50, 'late');
      await ends({ startId: 'late', how: 'not_linked' });
      await observer.takeEnded(route, await ended());
      await comes(a, 'i1', 'x1', { seq: 1 });
      await comes(a, 'i2', 'x2', { seq: 2 });
      await ready(2);
      a.cluster.instance(route, of('i3', 'late'));
      await a.hears('turnedAway');
      await ends({ startId: 'late', how: 'turned_away' });
      expect(await observer.startLinked(route, 'late')).toBe(false);
    });

    test('linked, when the instance has answered or lived for a while; one that comes late and finds room was not given up', async () => {
      const a = await world().join('a');
      await begun(60_000, 's1', 's2');
      await begun(50, 'late');
      await ends({ startId: 'late', how: 'not_linked' });
      await comes(a, 'i1', 's1');
      expect([await world().observer.startLinked(route, 's1'), await world().observer.startLinked(route, 's1', true)]).toEqual([
        true,
        true,
      ]);
      a.cluster.instance(route, of('i1', 's1', { state: 'starting' }));
      await eventually('it starts', async () => !(await world().observer.startLinked(route, 's1', true)));
      expect(await world().observer.startLinked(route, 's1')).toBe(true);
      await comes(a, 'i1', 's1');
      await ready(1);
      a.cluster.instance(route, of('i3', 'late'));
      await eventually('it was not given up', async () => (await ended()).length === 0);
      a.cluster.instance(route, of('i1', 's1', { answered: true }));
      await ends({ startId: 's1', how: 'linked' });
      await eventually('it has lived for a while', async () => (await ended()).length === 2, PROVED_AFTER_MS + 10_000);
      await ends({ startId: 's1', how: 'linked' }, { startId: 'late', how: 'linked' });
    });

    test('ended early, before or soon after they were ready', async () => {
      const a = await world().join('a');
      const failure = 'the application ended with code 1';
      await begun(60_000, 's1', 's2', 's3');
      await comes(a, 'i1', 's1', { state: 'starting' });
      a.cluster.instance(route, of('i1', 's1', { state: 'draining', failure }));
      await ends({ startId: 's1', how: 'ended_early' });
      await comes(a, 'i2', 's2');
      await ready(1);
      a.cluster.instance(route, of('i2', 's2', { state: 'draining', failure }));
      await ends({ startId: 's1', how: 'ended_early' }, { startId: 's2', how: 'ended_early' });
      // An instance that is told to leave says nothing bad about its start.
      await comes(a, 'i3', 's3');
      await ready(1);
      a.cluster.instance(route, of('i3', 's3', { state: 'draining' }));
      await ends({ startId: 's1', how: 'ended_early' }, { startId: 's2', how: 'ended_early' }, { startId: 's3', how: 'linked' });
    });

    test('an instance without a start has no end', async () => {
      const a = await world().join('a');
      await comes(a, 'i1', 'unknown', { seq: 1, answered: true });
      a.cluster.instance(route, instance('i2', { seq: 2, answered: true }));
      await ready(2);
      a.cluster.instanceGone(route, 'i2');
      await ready(1);
      expect(await ended()).toEqual([]);
    });
  });

  test(
    'an instance that nobody hears of any more is lost, unless it comes back in time',
    async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      await begun(60_000, 's1', 's2', 's3');
      for (const [id, startId] of [
        ['i1', 's1'],
        ['i2', 's2'],
        ['i3', 's3'],
      ] as const)
        await comes(a, id, startId, { answered: true });
      await observer.takeEnded(route, await ended());
      // One by its link, the others with their node.
      a.cluster.instanceGone(route, 'i1');
      await ready(2);
      const gone = performance.now();
      await a.kill();
      await eventually('the node is buried', async () => (await plan()).ready === 0, 20_000);
      await comes(b, 'i2', 's2', { seq: 5, answered: true });
      const lost: EndedStart[] = [
        { startId: 's1', how: 'lost' },
        { startId: 's3', how: 'lost' },
      ];
      await eventually('they are lost', async () => (await ended()).length === 2, LOST_AFTER_MS + 20_000);
      expect(performance.now() - gone).toBeGreaterThan(LOST_AFTER_MS - 1_000);
      await ends(...lost);
    },
    LOST_AFTER_MS + 60_000,
  );
}
