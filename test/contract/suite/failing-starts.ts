import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { PROVED_AFTER_MS } from '../../../src/cluster/start-limits.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

export function failingStarts(world: () => World): void {
  const plan = () => world().observer.startPlan(route);

  describe('starts that fail', () => {
    const failure = (reason: string) => ({ reason, wantedAgain: false });

    test('are counted, with why; after three the next one is tried after a pause', async () => {
      const { observer } = world();
      await observer.beginStarts(route, ['s1', 's2', 's3'], 60_000, await plan());
      await observer.endStart(route, 's1', failure('no such image'));
      await observer.endStart(route, 's2', failure(`it is ${'very '.repeat(200)}broken`));
      expect((await plan()).trouble).toMatchObject({ failures: 2, retryInMs: 0 });
      expect((await plan()).trouble?.reason).toHaveLength(500);
      await observer.endStart(route, 's3', failure('exited with 1'));
      const { trouble } = await plan();
      expect(trouble).toMatchObject({ failures: 3, reason: 'exited with 1' });
      expect(trouble?.retryInMs).toBeGreaterThan(1_000);
      expect(trouble?.retryInMs).toBeLessThanOrEqual(2_000);
    });

    test('by not linking in time, or by leaving before they were ready', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.beginStarts(route, ['s1'], 100, await plan());
      await eventually('given up', async () => (await plan()).trouble?.failures === 1);
      expect((await plan()).trouble?.reason).toContain('start s1');
      a.cluster.instance(route, instance('i1', { state: 'starting' }));
      a.cluster.instance(route, instance('i2', { state: 'starting' }));
      await eventually('known', async () => (await plan()).starting === 2);
      a.cluster.instance(route, instance('i1', { state: 'draining' }));
      await eventually('noticed', async () => (await plan()).trouble?.failures === 2);
      a.cluster.instanceGone(route, 'i1');
      a.cluster.instanceGone(route, 'i2');
      await eventually('noticed', async () => (await plan()).trouble?.failures === 3);
      expect((await plan()).trouble?.reason).toContain('instance i2');
    });

    test('are not forgotten because an instance says that it is ready, and are when it has lived for a while', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.noteFailure(route, 'bad');
      const began = performance.now();
      a.cluster.instance(route, instance('i1'));
      await eventually('ready', async () => (await plan()).ready === 1);
      expect((await plan()).trouble).toMatchObject({ failures: 1, reason: 'bad' });
      await eventually('forgotten', async () => (await plan()).trouble === null, 20_000);
      expect(performance.now() - began).toBeGreaterThanOrEqual(PROVED_AFTER_MS - 100);
      // It has proved itself: what becomes of it later says nothing about starts.
      a.cluster.instance(route, instance('i1', { state: 'draining', failure: 'the application ended with code 1', answered: false }));
      await eventually('leaving', async () => (await plan()).ready === 0);
      expect((await plan()).trouble).toBeNull();
    });

    test('by ending soon after they were ready; each counts once, for the better known reason', async () => {
      const a = await world().join('a');
      const ended = { answered: false, state: 'draining', failure: 'the application ended with code 1' } as const;
      for (const id of ['i1', 'i2']) {
        a.cluster.instance(route, instance(id, { answered: false }));
        await eventually(`${id} is ready`, async () => (await plan()).ready === 1);
        a.cluster.instance(route, instance(id, ended));
        await eventually(`${id} leaves`, async () => (await plan()).ready === 0);
        a.cluster.instanceGone(route, id);
      }
      const reason = /^instance i2 ended \d+\.\d s after it was ready: the application ended with code 1$/;
      expect((await plan()).trouble).toMatchObject({ failures: 2, reason: expect.stringMatching(reason) });
      // A node finds fault with its first requests, and then its application ends.
      a.cluster.instance(route, instance('i3', { answered: false }));
      await eventually('i3 is ready', async () => (await plan()).ready === 1);
      a.cluster.instanceFailed(route, 'i3', 'instance i3 fails its first requests');
      await eventually('noticed', async () => (await plan()).trouble?.failures === 3);
      a.cluster.instance(route, instance('i3', ended));
      await eventually('explained', async () => (await plan()).trouble?.reason.includes('ended with code 1') === true);
      expect((await plan()).trouble?.failures).toBe(3);
      expect((await plan()).trouble?.retryInMs).toBeGreaterThan(0);
      expect(Number.isInteger((await plan()).trouble?.retryInMs)).toBe(true);
    });

    test('are not seen any more when an instance has answered, and go on counting when it ends soon all the same', async () => {
      const { observer } = world();
      const a = await world().join('a');
      const pauses: number[] = [];
      for (let n = 0; n < 4; n++) await observer.noteFailure(route, 'bad');
      for (const id of ['i1', 'i2', 'i3']) {
        a.cluster.instance(route, instance(id, { answered: false }));
        await eventually(`${id} is ready`, async () => (await plan()).ready === 1);
        expect((await plan()).trouble).not.toBeNull();
        a.cluster.instance(route, instance(id, { answered: true }));
        await eventually(`${id} has answered`, async () => (await plan()).trouble === null);
        a.cluster.instance(route, instance(id, { answered: true, state: 'draining', failure: 'the application ended with code 1' }));
        await eventually(`${id} leaves`, async () => (await plan()).ready === 0);
        a.cluster.instanceGone(route, id);
        pauses.push((await plan()).trouble?.retryInMs ?? 0);
      }
      expect((await plan()).trouble?.failures).toBe(7);
      expect(pauses[1]).toBeGreaterThan(pauses[0] ?? 0);
      expect(pauses[2]).toBeGreaterThan(pauses[1] ?? 0);
    });

    test('by vanishing soon after they were ready and before they answered, also while they do not accept', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1'));
      await eventually('ready', async () => (await plan()).ready === 1);
      a.cluster.instance(route, instance('i1', { state: 'starting' }));
      await eventually('refusing', async () => (await plan()).starting === 1);
      a.cluster.instanceGone(route, 'i1');
      await eventually('gone', async () => (await plan()).starting === 0);
      expect((await plan()).trouble).toMatchObject({ failures: 1, reason: expect.stringContaining('its linker is gone') });
      a.cluster.instance(route, instance('i2', { answered: true }));
      await eventually('ready', async () => (await plan()).ready === 1);
      a.cluster.instanceGone(route, 'i2');
      await eventually('gone', async () => (await plan()).ready === 0);
      // It has answered, and may have lost nothing but its link: that says neither.
      expect((await plan()).trouble).toBeNull();
      await world().observer.noteFailure(route, 'bad');
      expect((await plan()).trouble).toMatchObject({ failures: 2 });
    });

    test('not by leaving in order, however soon; who has answered before shows that starts work', async () => {
      const { observer } = world();
      const a = await world().join('a');
      const leaves = async (id: string, answered: boolean, how: 'told' | 'retires') => {
        a.cluster.instance(route, instance(id, { answered }));
        await eventually(`${id} is ready`, async () => (await plan()).ready === 1);
        if (how === 'retires') expect(await a.cluster.mayRetire(route, id, 0)).toBe(true);
        a.cluster.instance(route, instance(id, { answered, state: 'draining' }));
        await eventually(`${id} leaves`, async () => (await plan()).ready === 0);
        a.cluster.instanceGone(route, id);
      };
      await observer.noteFailure(route, 'bad');
      for (const id of ['i1', 'i2', 'i3', 'i4']) await leaves(id, false, 'told');
      await leaves('i5', false, 'retires');
      expect((await plan()).trouble).toMatchObject({ failures: 1, reason: 'bad' });
      await leaves('i6', true, 'retires');
      expect((await plan()).trouble).toBeNull();
      await observer.noteFailure(route, 'bad');
      await leaves('i7', true, 'told');
      expect((await plan()).trouble).toBeNull();
    });

    test('by nothing that linkers of 0.1 do not tell apart: they do not say why they leave', async () => {
      const a = await world().join('a');
      for (const id of ['i1', 'i2', 'i3']) {
        a.cluster.instance(route, instance(id));
        await eventually(`${id} is ready`, async () => (await plan()).ready === 1);
        a.cluster.instance(route, instance(id, { state: 'draining' }));
        await eventually(`${id} leaves`, async () => (await plan()).ready === 0);
      }
      expect((await plan()).trouble).toBeNull();
    });

    test('are told to the nodes that hold clients, unless an instance is there or on its way', async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, 10);
      b.cluster.instance(route, instance('i1', { concurrency: 1, active: 1 }));
      await eventually('known', async () => (await plan()).ready === 1 && (await plan()).held === 1);
      for (let n = 0; n < 3; n++) await observer.noteFailure(route, 'bad');
      await delay(400);
      expect(a.all('failing')).toEqual([]);
      b.cluster.instanceGone(route, 'i1');
      await a.hears('failing', ({ forMs }) => forMs > 0);
    });
  });
}
