import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { RouteSettings } from '../../../../src/config/route-settings.ts';
import type { Route } from '../../../../src/node/matching/route.ts';
import { Bench, type HeldLimits, NAME } from '../../../support/harness/dispatch-bench.ts';
import { lender, StandInVisit } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('a visit', () => {
  test('is served at once by the newest instance that has an idle slot, without a word to the cluster', async () => {
    const bench = new Bench();
    const route = bench.route();
    const [old, newest] = [lender(1, 1), lender(2, 1)];
    bench.links(route, old, newest);
    expect(await bench.level(route)).toBe(2);
    const visits = [bench.arrives(route), bench.arrives(route)];
    expect(visits.map(({ served }) => served)).toEqual([[newest], [old]]);
    expect([bench.cluster.held, visits[0]?.served.length]).toEqual([0, 1]);
    expect(await bench.level(route)).toBe(0);
    bench.expectNothingLeft();
  });

  test('is served by the instance with most idle slots when the route says spread', () => {
    const bench = new Bench();
    const route = bench.route({ balance: 'spread' });
    const [old, newest] = [lender(1, 3), lender(2, 2)];
    bench.links(route, old, newest);
    expect([1, 2, 3, 4, 5].map(() => bench.arrives(route).served[0]?.seq)).toEqual([1, 2, 1, 2, 1]);
  });

  test('is held when no slot is idle, and the oldest gets the first one', () => {
    const bench = new Bench();
    const route = bench.route();
    const one = lender(1, 0);
    bench.links(route, one);
    const visits = [1, 2, 3].map(() => {
      jest.advanceTimersByTime(1);
      return bench.arrives(route);
    });
    expect([bench.tally.size, bench.cluster.holds.size, bench.tally.bytes]).toEqual([3, 3, 300]);
    for (const visit of visits) {
      expect(visit.served).toEqual([]);
      one.stub.active++;
      bench.ends(route, one);
      expect(visit.served).toEqual([one]);
    }
    bench.expectNothingLeft();
  });

  test('does not overtake one that is held', () => {
    const bench = new Bench();
    const route = bench.route();
    const first = bench.arrives(route);
    const one = lender(1, 1);
    route.slots.add(one);
    const second = bench.arrives(route);
    expect([first.served, second.served]).toEqual([[], []]);
    bench.dispatcher.match(route);
    expect([first.served, second.served]).toEqual([[one], []]);
  });

  test('leaves the queue at once when its client goes', () => {
    const bench = new Bench();
    const route = bench.route();
    const [gone, stays] = [bench.arrives(route), bench.arrives(route)];
    gone.left = true;
    bench.holds.release(gone);
    bench.holds.release(gone);
    expect([bench.tally.size, bench.cluster.holds.size]).toEqual([1, 1]);
    bench.links(route, lender(1, 2));
    expect([gone.served.length, stays.served.length]).toEqual([0, 1]);
    bench.expectNothingLeft();
  });

  test('that failed goes back to its original place, before the slot goes to a younger one', () => {
    const bench = new Bench();
    const route = bench.route();
    const one = lender(1, 1);
    bench.links(route, one);
    const oldest = bench.arrives(route);
    jest.advanceTimersByTime(5);
    const young = bench.arrives(route);
    bench.fails(oldest);
    expect([oldest.served, young.served]).toEqual([[one, one], []]);
    bench.ends(route, one);
    expect(young.served).toEqual([one]);
    bench.expectNothingLeft();
  });

  test('that failed and is held again is known to the cluster with its whole age, under another name', () => {
    const bench = new Bench();
    const route = bench.route({ maxHeld: 1 });
    const one = lender(1, 1);
    bench.links(route, one);
    const visit = bench.arrives(route);
    jest.advanceTimersByTime(700);
    const young = bench.arrives(route);
    one.stub.active--;
    bench.dispatcher.retry(visit);
    expect(visit.refused).toEqual([]);
    expect(route.held.oldest).toBe(visit);
    expect(bench.cluster.holds.get(visit.holdId)).toEqual({ route: NAME, heldMs: 700, maxHeld: Number.MAX_SAFE_INTEGER });
    expect(bench.cluster.holds.get(young.holdId)?.maxHeld).toBe(1);
  });
});

describe('a visit whose link broke', () => {
  test('is not given to another link that breaks in the same turn', () => {
    const bench = new Bench();
    const route = bench.route();
    const [first, second, third] = [lender(3, 1), lender(2, 1), lender(1, 1)];
    bench.links(route, first);
    const visit = bench.arrives(route);
    bench.links(route, second);
    bench.links(route, third);
    for (const lost of [first, second]) {
      route.slots.remove(lost);
      if (lost === first) bench.dispatcher.retry(visit);
    }
    expect(visit.served).toEqual([first]);
    jest.advanceTimersByTime(0);
    expect(visit.served).toEqual([first, third]);
  });
});

describe('who is held is refused', () => {
  test('when the deadline has passed, and is not served later', () => {
    const bench = new Bench();
    const route = bench.route({ holdTimeoutMs: 500 });
    const visit = bench.arrives(route);
    jest.advanceTimersByTime(501);
    expect(visit.codes).toEqual(['hold_timeout']);
    bench.links(route, lender(1, 1));
    expect(visit.served).toEqual([]);
    bench.expectNothingLeft();
  });

  test('when the cluster holds too many, and by then is neither served nor gone', () => {
    const bench = new Bench();
    const route = bench.route();
    const visits = [1, 2, 3].map(() => bench.arrives(route));
    const [served, gone, refused] = visits as [StandInVisit, StandInVisit, StandInVisit];
    const ids = visits.map(({ holdId }) => holdId);
    bench.links(route, lender(1, 1));
    gone.left = true;
    bench.holds.release(gone);
    for (const id of [...ids, ...ids]) bench.holds.refuseHold(route, id);
    expect(visits.map(({ codes }) => codes)).toEqual([[], [], ['queue_full']]);
    expect(served.served.length).toBe(1);
    expect(refused.served).toEqual([]);
    bench.expectNothingLeft();
  });

  test('when the cluster refuses it, not when it refuses what it was called before it was served and came back', () => {
    const bench = new Bench();
    const route = bench.route();
    const visit = bench.arrives(route);
    const before = visit.holdId;
    const one = lender(1, 1);
    bench.links(route, one);
    one.stub.active--;
    bench.dispatcher.retry(visit);
    bench.holds.refuseHold(route, before);
    expect([visit.codes, bench.tally.size]).toEqual([[], 1]);
    bench.holds.refuseHold(route, visit.holdId);
    expect(visit.codes).toEqual(['queue_full']);
    bench.expectNothingLeft();
  });

  test('10,000 of them at once, and the others later', () => {
    const bench = new Bench({ heldMax: 20_000, heldBytesMax: 1e9 });
    const route = bench.route({ maxHeld: 20_000 });
    const visits = Array.from({ length: 20_000 }, () => bench.arrives(route));
    for (const { holdId } of visits.slice(10_000)) bench.holds.refuseHold(route, holdId);
    expect(bench.tally.size).toBe(10_000);
    bench.holds.refuseAll([route]);
    expect(new Set(visits.flatMap(({ codes }) => codes))).toEqual(new Set(['queue_full', 'draining']));
    bench.expectNothingLeft();
  });

  test('each once, also when a refusal makes others leave', () => {
    const bench = new Bench();
    const route = bench.route();
    const visits = [1, 2, 3].map(() => bench.arrives(route));
    const [first, second, third] = visits as [StandInVisit, StandInVisit, StandInVisit];
    first.whenRefused = () => {
      second.left = true;
      bench.holds.release(second);
    };
    bench.holds.refuseAll([route]);
    expect([first.codes, second.codes, third.codes]).toEqual([['draining'], [], ['draining']]);
    bench.expectNothingLeft();
  });
});

describe('the held queue is full', () => {
  test.each<[string, Partial<HeldLimits>, Partial<RouteSettings>]>([
    ['with as many visits as the route may hold', {}, { maxHeld: 2 }],
    ['with as many visits as the node may hold', { heldMax: 2 }, {}],
    ['with as many bytes as the route may hold: half of the node', { heldBytesMax: 400 }, {}],
  ])('%s', (_name, limits, settings) => {
    const bench = new Bench(limits);
    const route = bench.route(settings);
    const [first, second, third] = [1, 2, 3].map(() => bench.arrives(route));
    expect([first?.codes, second?.codes, third?.codes]).toEqual([[], [], ['queue_full']]);
    bench.links(route, lender(1, 1));
    expect(first?.served.length).toBe(1);
    expect(bench.arrives(route).codes).toEqual([]);
  });

  test('with as many bytes as the node may hold, whatever the route', () => {
    const bench = new Bench({ heldBytesMax: 400 });
    const routes = ['a', 'b', 'c'].map((name) => bench.route({}, name)) as [Route, Route, Route];
    for (const route of [routes[0], routes[0], routes[1]]) expect(bench.arrives(route).codes).toEqual([]);
    const growing = bench.arrives(routes[1], new StandInVisit(performance.now(), 50));
    expect(bench.arrives(routes[2], new StandInVisit(performance.now(), 51)).codes).toEqual(['queue_full']);
    growing.grow(50);
    expect(bench.arrives(routes[2], new StandInVisit(performance.now(), 1)).codes).toEqual(['queue_full']);
    bench.holds.release(growing);
    expect(bench.arrives(routes[2]).codes).toEqual([]);
  });

  test('for nobody who comes back: it was accepted before', () => {
    const bench = new Bench({ heldMax: 1, heldBytesMax: 200 });
    const route = bench.route({ maxHeld: 1 });
    const one = lender(1, 1);
    bench.links(route, one);
    const [back, held] = [bench.arrives(route), bench.arrives(route)];
    one.stub.active--;
    bench.dispatcher.retry(back);
    expect([back.codes, held.codes, bench.tally.size]).toEqual([[], [], 2]);
  });

  test('when none may be held at all, which is not asked of a visit that a slot is there for', () => {
    const bench = new Bench();
    const route = bench.route({ maxHeld: 0 });
    expect(bench.arrives(route).codes).toEqual(['queue_full']);
    bench.links(route, lender(1, 2));
    expect(bench.arrives(route).served.length).toBe(1);
    // Kept back for an older client elsewhere is better than nothing.
    bench.cluster.elsewhereMs = 60_000;
    expect(bench.arrives(route).served.length).toBe(1);
    bench.expectNothingLeft();
  });
});

test('how long clients were held is counted, for a cold start by itself', () => {
  const bench = new Bench();
  const route = bench.route();
  bench.arrives(route);
  jest.advanceTimersByTime(1_500);
  const one = lender(1, 1);
  bench.links(route, one);
  expect([route.counters.hold.sum, route.counters.coldStart.sum]).toEqual([1.5, 1.5]);
  bench.arrives(route);
  jest.advanceTimersByTime(500);
  bench.ends(route, one);
  expect([route.counters.hold.sum, route.counters.coldStart.sum]).toEqual([2, 1.5]);
  expect([bench.holds.waits.hold.seen, bench.holds.waits.coldStart.seen]).toEqual([{ 0.5: 1, 2.5: 1 }, { 2.5: 1 }]);
  // The last instance has left.
  route.becameNewest('i1');
  route.instances.gone('i1');
  route.slots.remove(one);
  expect(route.isCold).toBe(true);
  route.becameNewest('i2');
  expect(route.isCold).toBe(false);
});
