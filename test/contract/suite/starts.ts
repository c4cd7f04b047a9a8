import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { provedAfterMs } from '../../../src/cluster/start-limits.ts';
import type { StartPlan } from '../../../src/cluster/starts.ts';
import { eventually } from '../../support/eventually.ts';
import { instance, type World } from '../world.ts';

const route = 'app.example.com';

const NOTHING: StartPlan = {
  held: 0,
  promised: 0,
  serving: 0,
  slots: 0,
  free: 0,
  ready: 0,
  starting: 0,
  concurrency: null,
  begun: 0,
  lastBegunMs: null,
  begunInMinute: 0,
  oldestBegunMs: null,
  wanted: 0,
  old: 0,
  trouble: null,
};

export function starts(world: () => World): void {
  const plan = () => world().observer.startPlan(route);

  describe('starts', () => {
    test('of a route that nobody knows there is nothing, and no concurrency', async () => {
      expect(await plan()).toEqual(NOTHING);
    });

    test('of two scalers that decide at once, one decides again', async () => {
      const { observer } = world();
      const before = await plan();
      const answers = await Promise.all([
        observer.beginStarts(route, ['s1', 's2'], 60_000, before),
        observer.beginStarts(route, ['s3', 's4'], 60_000, before),
      ]);
      expect(answers.toSorted()).toEqual([false, true]);
      expect((await plan()).starting).toBe(2);
    });

    test('nodes that have something of the route know how many are under way, without asking', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, 10);
      await world().observer.beginStarts(route, ['s1', 's2'], 60_000, await plan());
      await eventually('it knows of two', () => a.cluster.starting(route) === 2);
      a.cluster.instance(route, instance('i1', { state: 'starting', startId: 's1' }));
      await world().observer.endStart(route, 's2');
      await eventually('one is linked, and not ready yet', () => a.cluster.starting(route) === 1);
      a.cluster.instance(route, instance('i1'));
      await eventually('none is left', () => a.cluster.starting(route) === 0);
      expect(b.cluster.starting(route)).toBeUndefined();
    });

    test('a failed start is not waited for', async () => {
      const { observer } = world();
      await observer.beginStarts(route, ['s1', 's2'], 60_000, await plan());
      await observer.endStart(route, 's1');
      await observer.endStart(route, 'unknown');
      expect((await plan()).starting).toBe(1);
    });

    test('a start that has not linked by its deadline is given up', async () => {
      const { observer } = world();
      await observer.beginStarts(route, ['s1'], 300, await plan());
      await observer.beginStarts(route, ['s2'], 60_000, await plan());
      expect((await plan()).starting).toBe(2);
      await eventually('given up', async () => (await plan()).starting === 1);
    });

    test('an instance ends its start when it links, and counts as starting until it is ready', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.beginStarts(route, ['s1', 's2'], 60_000, await plan());
      a.cluster.instance(route, instance('i1', { state: 'starting', startId: 's1', concurrency: 7 }));
      await eventually('its concurrency is known', async () => (await plan()).concurrency === 7);
      expect(await plan()).toMatchObject({ ready: 0, slots: 0, starting: 2 });
      a.cluster.instance(route, instance('i1', { state: 'ready', startId: 's1', concurrency: 7 }));
      await eventually('ready', async () => (await plan()).ready === 1);
      expect(await plan()).toMatchObject({ slots: 7, starting: 1 });
    });

    test('of starts that one command began together, each new instance ends one, named or not', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.beginStarts(route, ['alone'], 60_000, await plan());
      await observer.beginStarts(route, ['both:1', 'both:2', 'both:3'], 60_000, await plan());
      a.cluster.instance(route, instance('i1', { startId: 'both' }));
      a.cluster.instance(route, instance('i2'));
      await eventually('linked', async () => (await plan()).ready === 2);
      expect((await plan()).starting).toBe(2);
      a.cluster.instance(route, instance('i1', { startId: 'both', active: 1 }));
      a.cluster.instance(route, instance('i3', { startId: 'alone' }));
      await eventually('linked', async () => (await plan()).ready === 3);
      expect((await plan()).starting).toBe(1);
      a.cluster.instance(route, instance('i4'));
      a.cluster.instance(route, instance('i5'));
      await eventually('linked', async () => (await plan()).ready === 5);
      expect((await plan()).starting).toBe(0);
    });

    test('an instance that somebody else started ends no start that has a name of its own', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.beginStarts(route, ['s1'], 60_000, await plan());
      a.cluster.instance(route, instance('i1'));
      a.cluster.instance(route, instance('i2', { startId: 'unknown' }));
      await eventually('linked', async () => (await plan()).ready === 2);
      expect((await plan()).starting).toBe(1);
    });

    test('nothing is begun when an instance became ready since the plan', async () => {
      const { observer } = world();
      const a = await world().join('a');
      const before = await plan();
      a.cluster.instance(route, instance('i1'));
      await eventually('ready', async () => (await plan()).ready === 1);
      expect(await observer.beginStarts(route, ['s1'], 60_000, before)).toBe(false);
      expect((await plan()).starting).toBe(0);
    });

    test('the concurrency outlives the last instance', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1', { concurrency: 3 }));
      await eventually('known', async () => (await plan()).concurrency === 3);
      await a.cluster.stop();
      expect(await plan()).toEqual({ ...NOTHING, concurrency: 3 });
    });

    test('after a loss no start is planned before all instances are known again', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, 10);
      b.cluster.instance(route, instance('i1'));
      await eventually('settled', async () => (await plan()).held === 1 && (await plan()).ready === 1);
      await world().backing.lose();
      const began = performance.now();
      for (let looks = 0; looks < 20; looks++) {
        const { held, ready } = await plan();
        expect({ held, ready }).not.toEqual({ held: 1, ready: 0 });
        await delay(20);
      }
      await eventually('planned again', async () => (await plan()).held === 1);
      expect(await plan()).toMatchObject({ held: 1, ready: 1 });
      expect(performance.now() - began).toBeLessThan(6_000);
    });

    test('a node that was cut off for long makes no start wait', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.cluster.instance(route, instance('i1'));
      await eventually('known', async () => (await plan()).ready === 1);
      await b.kill();
      await eventually('dead', async () => (await plan()).ready === 0);
      b.revive();
      await eventually('back', async () => (await world().observer.snapshot()).nodes.length === 2);
      const began = performance.now();
      await plan();
      expect(performance.now() - began).toBeLessThan(1_000);
      expect(a.cluster.connected).toBe(true);
    });

    test('slots of draining instances do not count', async () => {
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1', { concurrency: 3 }));
      a.cluster.instance(route, instance('i2', { concurrency: 5, state: 'draining' }));
      await eventually('known', async () => (await plan()).ready === 1);
      expect((await plan()).slots).toBe(3);
    });

    test('nothing is begun when something was begun since the plan, though it has ended meanwhile', async () => {
      const { observer } = world();
      const before = await plan();
      await observer.beginStarts(route, ['s1'], 60_000, before);
      await observer.endStart(route, 's1');
      expect(await observer.beginStarts(route, ['s2'], 60_000, before)).toBe(false);
      expect(await observer.beginStarts(route, ['s2'], 60_000, await plan())).toBe(true);
    });

    test('it is known how many were begun within a minute, and when', async () => {
      const { observer } = world();
      await observer.beginStarts(route, ['s1', 's2'], 60_000, await plan(), { jobAgeMs: 1_000 });
      await observer.endStart(route, 's1');
      const { begun, begunInMinute, lastBegunMs, oldestBegunMs } = await plan();
      expect([begun, begunInMinute]).toEqual([2, 2]);
      expect(oldestBegunMs).toBeGreaterThanOrEqual(lastBegunMs ?? Number.POSITIVE_INFINITY);
      const times = await observer.startTimes(route, 's2');
      expect(times?.commandAgeMs).toBeGreaterThanOrEqual(lastBegunMs ?? Number.POSITIVE_INFINITY);
      expect((times?.jobAgeMs ?? 0) - (times?.commandAgeMs ?? 0)).toBeCloseTo(1_000, -1);
      expect(await observer.startTimes(route, 'unknown')).toBeNull();
    });

    test('what somebody wants is there until it is begun, and again if it failed', async () => {
      const { observer } = world();
      await observer.wantInstances(route, 1);
      await observer.wantInstances(route, 2);
      expect((await plan()).wanted).toBe(3);
      await observer.beginStarts(route, ['s1', 's2'], 60_000, await plan(), { wanted: 2 });
      expect((await plan()).wanted).toBe(1);
      await observer.endStart(route, 's1', { reason: 'no such image', wantedAgain: true });
      await observer.endStart(route, 's1', { reason: 'no such image', wantedAgain: true });
      expect(await plan()).toMatchObject({ wanted: 2, trouble: { failures: 1 } });
    });

    test('a restart replaces what is there and does not leave, and nothing that comes later', async () => {
      const { observer } = world();
      expect(await observer.restart(route)).toBe(0);
      const a = await world().join('a');
      a.cluster.instance(route, instance('i1', { seq: 1_700_000_000_001 }));
      a.cluster.instance(route, instance('i2', { seq: 1_700_000_000_002 }));
      a.cluster.instance(route, instance('i3', { seq: 1_700_000_000_003, state: 'draining' }));
      await eventually('ready', async () => (await plan()).ready === 2);
      expect((await plan()).old).toBe(0);
      expect(await observer.restart(route)).toBe(2);
      expect((await plan()).old).toBe(2);
      a.cluster.instance(route, instance('i4', { seq: 1_700_000_000_004 }));
      a.cluster.instanceGone(route, 'i1');
      await eventually('one is replaced', async () => (await plan()).old === 1);
      expect((await plan()).ready).toBe(2);
    });
  });

  describe('clients that are served', () => {
    test('are counted by their nodes, at the same moment as they are no longer held', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      for (let n = 0; n < 1_200; n++) a.cluster.hold(route, `c${n}`, 0, 10_000);
      b.cluster.instance(route, instance('i1', { active: 7 }));
      b.cluster.idle(route, 0, 7);
      await eventually('all are held', async () => (await plan()).held >= 1_199 && (await plan()).serving === 7);
      for (let n = 0; n < 1_200; n++) a.cluster.unhold(route, `c${n}`);
      a.cluster.idle(route, 0, 1_200);
      let most = 0;
      await eventually('all are served', async () => {
        const { held, serving } = await plan();
        most = Math.max(most, held + (serving ?? 0));
        return held === 0 && serving === 1_207;
      });
      expect(most).toBe(1_207);
      await a.cluster.stop();
      expect((await plan()).serving).toBe(7);
    });
  });

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
      expect(performance.now() - began).toBeGreaterThanOrEqual(provedAfterMs - 100);
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
