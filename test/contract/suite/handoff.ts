import { describe, expect, test } from '@jest/globals';
import type { Bell, Ring } from '../../../src/cluster/directory.ts';
import { PROMISE_MS } from '../../../src/cluster/limits.ts';
import { eventually } from '../../support/eventually.ts';
import { deaf, instance, overheard, type World } from '../world.ts';

const route = 'app.example.com';
const maxHeld = 100;
/** Sooner than a promise lapses: nothing was waited for. */
const atOnceMs = PROMISE_MS - 10;

export function handoff(world: () => World): void {
  describe('handoff', () => {
    test('a client that comes when a slot lies idle at another node is promised it, and both nodes hear of it', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.idle(route, 2);
      await freeIs(world(), 2);
      a.cluster.hold(route, 'c1', 0, maxHeld);

      const [want, coming] = await Promise.all([b.hears('want'), a.hears('coming')]);
      expect(want).toMatchObject({ route, count: 1, asker: a.peer });
      expect(coming).toMatchObject({ route, count: 1, from: 'b' });
      expect(await world().observer.startPlan(route)).toMatchObject({ held: 1, promised: 1, free: 1 });
      expect(a.all('start')).toEqual([]);
    });

    test('a search tells the node with the slot by itself, and nobody tells it again', async () => {
      const rung: Ring[] = [];
      const [a, b] = [await world().join('a', (bell) => overheard(bell, rung)), await world().join('b')];
      const x = { id: 'x', address: 'x.test:9080' };
      b.idle(route, 2);
      await freeIs(world(), 2);
      const { moves } = await world().observer.hold(route, x, { add: [{ id: 'h', ageMs: 0 }], remove: [], maxHeld, reset: false, idle: 0 });
      const { isSharded = false } = world().backing;
      expect(moves).toEqual([{ from: 'b', to: x, count: 1, ...(isSharded ? {} : { told: 'heard' }) }]);
      if (!isSharded) expect(await b.hears('want')).toMatchObject({ route, count: 1, asker: x });

      a.cluster.hold(route, 'c1', 0, maxHeld);
      await b.hears('want', ({ asker }) => asker.id === 'a');
      await a.hears('coming');
      if (isSharded) expect(rung).toContainEqual(expect.objectContaining({ t: 'want', asker: a.peer }));
      else expect(rung).toEqual([]);
    });

    test('a search that finds slots of its caller leaves it to the answer to say so', async () => {
      const [a, c] = [await world().join('a'), await world().join('c')];
      const { observer } = world();
      const add = [20, 10].map((ageMs) => ({ id: `h${ageMs}`, ageMs }));
      await observer.hold(route, a.peer, { add, remove: [], maxHeld, reset: false, idle: 0 });
      expect((await observer.offer(route, { id: 'b', address: 'b.test:9080' }, 1)).moves).toMatchObject([
        { from: 'b', to: a.peer, count: 1 },
      ]);
      await observer.beatRoute(route, c.peer, { idle: 1, instances: [], gone: [] });
      // c has found that nobody listens as b.
      const { moves } = await observer.short(route, 'b', 'a', 1, 0, 'c');
      const { isSharded = false } = world().backing;
      expect(moves).toEqual([{ from: 'c', to: a.peer, count: 1, ...(isSharded ? {} : { told: 'heard' }) }]);
      if (isSharded) return;
      await a.hears('coming', ({ from }) => from === 'c');
      expect(c.all('want')).toEqual([]);
    });

    test('a slot that becomes idle while a client is held elsewhere is promised at once', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      a.cluster.hold(route, 'c1', 0, maxHeld);
      await a.hears('start');
      b.idle(route, 1);
      const began = performance.now();

      const want = await b.hears('want');
      expect(want).toMatchObject({ route, count: 1, asker: a.peer });
      expect(want.at - began).toBeLessThan(atOnceMs);
      await a.hears('coming');
    });

    test('several clients and several slots are one message to each node', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.idle(route, 5);
      await freeIs(world(), 5);
      for (let i = 0; i < 8; i++) a.cluster.hold(route, `c${i}`, 0, maxHeld);

      expect(await b.hears('want')).toMatchObject({ count: 5 });
      expect(await a.hears('coming')).toMatchObject({ count: 5 });
      expect(await world().observer.startPlan(route)).toMatchObject({ held: 8, free: 0 });
    });

    test('of two nodes that want the last slot, one gets it', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      c.idle(route, 1);
      await freeIs(world(), 1);
      const began = performance.now();
      a.cluster.hold(route, 'c1', 0, maxHeld);
      b.cluster.hold(route, 'c2', 0, maxHeld);

      await c.hears('want');
      // It is on its way to who got it.
      c.idle(route, 0);
      await Promise.race([a.hears('start'), b.hears('start')]);
      const plan = await world().observer.startPlan(route);
      // A promise lapses, and nobody here keeps it: on a machine that is this slow there is another one.
      const isQuick = performance.now() - began < PROMISE_MS;
      if (isQuick) expect(c.all('want').map(({ count }) => count)).toEqual([1]);
      expect(plan).toMatchObject({ held: 2, promised: isQuick ? 1 : expect.any(Number), free: 0 });
      expect(plan.promised).toBeLessThanOrEqual(1);
    });

    test('the oldest client of all nodes is promised the slot, whoever asks', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      a.cluster.hold(route, 'young', 10, maxHeld);
      b.cluster.hold(route, 'old', 5_000, maxHeld);
      await Promise.all([a.hears('start'), b.hears('start')]);
      c.idle(route, 1);

      expect(await c.hears('want')).toMatchObject({ asker: b.peer });
      await b.hears('coming');
      expect(a.all('coming')).toEqual([]);
    });

    test('the slot comes from the node where most lie idle', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      b.idle(route, 2);
      c.idle(route, 7);
      await freeIs(world(), 9);
      a.cluster.hold(route, 'c1', 0, maxHeld);

      expect(await a.hears('coming')).toMatchObject({ from: 'c' });
    });

    test('a node is never sent to itself for a slot', async () => {
      const a = await world().join('a');
      a.idle(route, 1);
      await freeIs(world(), 1);
      a.cluster.hold(route, 'c1', 0, maxHeld);
      await a.hears('start');
      expect(a.all('want')).toEqual([]);
    });

    test('slots of the newest instance are asked for at its home, those of no other instance, and nothing is promised', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.cluster.instance(route, instance('i1'));
      a.cluster.hold(route, 'c1', 0, maxHeld);
      await a.hears('newest');
      a.cluster.pull(route, 2, { id: 'i1' });
      expect(await b.hears('want')).toMatchObject({ count: 2, asker: a.peer, instance: 'i1' });
      expect(await world().observer.startPlan(route)).toMatchObject({ held: 1, promised: 0 });
    });

    test('when the count was stale the search goes on at once without that node', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      b.idle(route, 3);
      c.idle(route, 1);
      await freeIs(world(), 4);
      b.idle(route, 0);
      a.cluster.hold(route, 'c1', 0, maxHeld);
      const want = await b.hears('want');
      b.cluster.short(route, want.count, want.asker);

      const second = await c.hears('want');
      expect(second).toMatchObject({ count: 1, asker: a.peer });
      expect(second.at - want.at).toBeLessThan(atOnceMs);
    });

    test('when the count was stale and nobody has a slot, the asker is told to look again and hears that a start is needed', async () => {
      const rung: Ring[] = [];
      const [a, b] = [await world().join('a'), await world().join('b', (bell) => overheard(bell, rung))];
      b.idle(route, 1);
      await freeIs(world(), 1);
      b.idle(route, 0);
      a.cluster.hold(route, 'c1', 0, maxHeld);
      const want = await b.hears('want');
      b.cluster.short(route, want.count, want.asker);

      await a.hears('start');
      expect(rung).toEqual([{ t: 'look', route }]);
      expect(await world().observer.startPlan(route)).toMatchObject({ held: 1, promised: 0, free: 0 });
    });

    test('slots that can not be moved are not tried again as fast as the directory answers', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      let wants = 0;
      const refusing = await world().prepare('c');
      await refusing.start({
        ...refusing.listener(),
        onWant: (_route, count, asker) => {
          wants++;
          refusing.cluster.short(route, count, asker);
          refusing.cluster.idle(route, 1);
        },
      });
      a.cluster.hold(route, 'c1', 0, maxHeld);
      refusing.cluster.idle(route, 1);
      await eventually('tried', () => wants > 0);
      const began = performance.now();
      await eventually('tried again', () => wants > 5);
      expect((performance.now() - began) / (wants - 1)).toBeGreaterThan(20);

      b.idle(route, 1);
      await b.hears('want');
    });

    test('a slot that a client left behind goes at once to the next one who waits elsewhere', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      a.cluster.hold(route, 'leaves', 50, maxHeld);
      b.cluster.hold(route, 'stays', 0, maxHeld);
      await Promise.all([a.hears('start'), b.hears('start')]);
      c.idle(route, 1);
      await c.hears('want');
      // While the slot travels from c to a, the client leaves; then the slot arrives.
      a.cluster.unhold(route, 'leaves');
      a.idle(route, 1);
      const began = performance.now();

      const want = await a.hears('want');
      expect(want.asker).toEqual(b.peer);
      expect(want.at - began).toBeLessThan(atOnceMs);
      await b.hears('coming');
    });

    test('a promise that nobody keeps lapses, and the search begins again', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.idle(route, 2);
      await freeIs(world(), 2);
      a.cluster.hold(route, 'c1', 0, maxHeld);
      const first = await b.hears('want');

      await eventually('asked again', () => b.all('want').length > 1);
      const again = (b.all('want')[1]?.at ?? 0) - first.at;
      expect(again).toBeGreaterThan(PROMISE_MS - 50);
      expect(again).toBeLessThan(PROMISE_MS + 500);
    });

    test('lost messages are made up for within half a second', async () => {
      const [a, b] = [await world().join('a', deaf), await world().join('b', deaf)];
      a.cluster.hold(route, 'c1', 0, maxHeld);
      await a.hears('start');
      const began = performance.now();
      b.cluster.instance(route, instance('i1'));
      b.idle(route, 1);
      // The offer finds the client although no notice of it was heard, and tells its own node without the bell.
      const want = await b.hears('want');
      expect(want.at - began).toBeLessThan(500);
    });

    test('a lost notice of demand is made up for within half a second', async () => {
      const [a, b] = [await world().join('a', (bell) => losingFirst(bell, 'demand')), await world().join('b')];
      b.idle(route, 1);
      await freeIs(world(), 1);
      b.idle(route, 0);
      await freeIs(world(), 0);
      // Nobody waits, so the directory is not told of this slot before the next beat.
      b.idle(route, 1);
      const began = performance.now();
      a.cluster.hold(route, 'c1', 0, maxHeld);
      const want = await b.hears('want');
      expect(want.at - began).toBeLessThan(500);
    });

    test('a lost want is made up for within half a second', async () => {
      const [a, b] = [await world().join('a'), await world().join('b', (bell) => losingFirst(bell, 'want'))];
      b.idle(route, 1);
      await freeIs(world(), 1);
      const began = performance.now();
      a.cluster.hold(route, 'c1', 0, maxHeld);
      // The promised slot is no longer free in the directory; its node says with the offer or the beat that it lies there still.
      const want = await b.hears('want');
      expect(want.at - began).toBeLessThan(500);
    });

    test('slots of a killed node are not waited for', async () => {
      const [a, b, c] = [await world().join('a'), await world().join('b'), await world().join('c')];
      b.idle(route, 5);
      c.idle(route, 1);
      await freeIs(world(), 6);
      await b.kill();
      const began = performance.now();
      a.cluster.hold(route, 'c1', 0, maxHeld);

      const want = await c.hears('want');
      // By its last beat it lives for three seconds.
      expect(want.at - began).toBeLessThan(1_000);
    });

    test('an older client elsewhere goes first only when it is older by more than the set age', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      expect(b.cluster.olderElsewhere(route, 0)).toBe(false);
      b.cluster.hold(route, 'own', 0, maxHeld);
      a.cluster.hold(route, 'c1', 1_000, maxHeld);
      await a.hears('start');
      await eventually('b has heard', () => b.cluster.olderElsewhere(route, 500));
      expect(b.cluster.olderElsewhere(route, 850)).toBe(true);
      expect(b.cluster.olderElsewhere(route, 2_000)).toBe(false);
    });

    test('slots that were kept back for an older client are given free when it needs none', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      b.cluster.hold(route, 'own', 0, maxHeld);
      a.cluster.hold(route, 'old', 1_000, maxHeld);
      await eventually('b has heard', () => b.cluster.olderElsewhere(route, 10));
      a.cluster.unhold(route, 'old');
      await eventually('it is gone', async () => (await world().observer.startPlan(route)).held === 1);
      b.forget();
      b.idle(route, 1);

      const rematch = await b.hears('rematch');
      expect(rematch.route).toBe(route);
      expect(b.cluster.olderElsewhere(route, 0)).toBe(false);
      expect(b.all('want')).toEqual([]);
    });
  });
}

/** Loses the first notice of demand that is rung, or the first want that would be heard. */
function losingFirst(bell: Bell, what: 'demand' | 'want'): Bell {
  let lost = false;
  const isLost = (message: string): boolean => {
    if (lost || message !== what) return false;
    lost = true;
    return true;
  };
  return {
    listen: (node, listener) =>
      bell.listen(node, {
        onRing: (ring) => (isLost(ring.t) ? undefined : listener.onRing(ring)),
        onDemand: (notice) => listener.onDemand(notice),
        onRoutesChanged: () => listener.onRoutesChanged(),
      }),
    ring: bell.ring.bind(bell),
    demand: (notice) => (isLost('demand') ? undefined : bell.demand(notice)),
    close: bell.close.bind(bell),
  };
}

function freeIs(world: World, free: number): Promise<void> {
  return eventually(`${free} slots are free`, async () => (await world.observer.startPlan(route)).free === free);
}
