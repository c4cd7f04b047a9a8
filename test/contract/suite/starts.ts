import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
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
  paused: 0,
  leaving: 0,
  heldExtra: 0,
  wantedExtra: 0,
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
      expect(await observer.endStart(route, 's1')).toBe(true);
      expect(await observer.endStart(route, 's1')).toBe(false);
      expect(await observer.endStart(route, 'unknown')).toBe(false);
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

    test('an instance with the id of somebody else’s start ends no start that has a name of its own', async () => {
      const { observer } = world();
      const a = await world().join('a');
      await observer.beginStarts(route, ['s1'], 60_000, await plan());
      a.cluster.instance(route, instance('i2', { startId: 'unknown' }));
      await eventually('linked', async () => (await plan()).ready === 1);
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
}
