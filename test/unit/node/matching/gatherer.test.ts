/** Requests that take several slots of one instance: which instance is reserved, for whom, and until when. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { parseRouteSettings } from '../../../../src/config/route-settings.ts';
import { Bench } from '../../../support/harness/dispatch-bench.ts';
import { bench, busy, COSTS, comes, oldRelay, SUSPECT } from '../../../support/harness/gathering-bench.ts';
import type { lender, StandInLender, StandInVisit } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('a request that takes several slots', () => {
  test('keeps the idle slots of one instance until there are enough, and others have those of the rest', () => {
    const { bench: one, route, comes } = bench();
    const [old, newest] = [busy(1, 0, 2), busy(2, 1, 2)];
    one.links(route, old, newest);
    const heavy = comes(3);
    expect([newest.gathersFor, newest.stub.gathered]).toEqual([heavy, [3]]);
    const light = comes(1);
    expect(light.served).toEqual([]);
    one.ends(route, old);
    expect(light.served).toEqual([old]);
    one.ends(route, newest);
    expect(heavy.served).toEqual([]);
    one.ends(route, newest);
    expect([heavy.served, newest.gathersFor, newest.stub.gathered]).toEqual([[newest], undefined, [3, 0]]);
    one.ends(route, newest, 3);
    one.expectNothingLeft();
  });

  test.each<[string, (visit: StandInVisit, one: Bench) => void]>([
    ['its client leaves', (visit, one) => one.holds.release(visit)],
    ['its time is up', () => jest.advanceTimersByTime(COSTS.holdTimeoutMs)],
  ])('leaves its slots to others when %s', (_name, end) => {
    const { bench: one, route, comes } = bench();
    const only = busy(1, 1, 1);
    one.links(route, only);
    const heavy = comes(2);
    jest.advanceTimersByTime(COSTS.holdTimeoutMs / 2);
    const light = comes(1);
    expect(light.served).toEqual([]);
    end(heavy, one);
    jest.advanceTimersByTime(1);
    expect([light.served, only.gathersFor, only.stub.gathered, route.gatherings.size]).toEqual([[only], undefined, [2, 0], 0]);
  });

  test('reserves another instance when its own is gone, and asks other nodes where no other is here', () => {
    const { bench: one, route, comes } = bench();
    const [first, second] = [busy(1, 1, 3), busy(2, 2, 2)];
    one.links(route, first, second);
    const heavy = comes(4);
    for (const [gone, next] of [
      [second, first],
      [first, undefined],
    ] as const) {
      route.slots.remove(gone);
      one.dispatcher.lenderGone(route, gone);
      expect([gone.gathersFor, next?.gathersFor]).toEqual([undefined, next && heavy]);
      expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(next !== undefined);
    }
    const late = busy(3, 4, 0);
    one.links(route, late);
    expect(heavy.served).toEqual([late]);
  });

  test('asks other nodes also where an instance is looked for in vain for the one before it', () => {
    const { bench: one, route, comes } = bench();
    const [first, second, small] = [busy(1, 1, 7), busy(2, 1, 7), busy(3, 0, 1, { concurrency: 1, concurrencyMax: 1 })];
    one.links(route, first, second, small);
    const both = [comes(8), comes(8)];
    expect(both.map(({ holdId }) => one.cluster.holds.get(holdId)?.ask?.gathers)).toEqual([true, true]);
    for (const gone of [second, first]) {
      route.slots.remove(gone);
      one.dispatcher.lenderGone(route, gone);
    }
    expect(both.map(({ holdId }) => one.cluster.holds.get(holdId)?.ask?.gathers)).toEqual([false, false]);
  });

  test('gives its instance up that can not have so many, asks other nodes, and tries again later', () => {
    const { bench: one, route, comes } = bench();
    const only = busy(1, 1, 1);
    one.links(route, only);
    const heavy = comes(4);
    expect(one.cluster.holds.get(heavy.holdId)?.ask).toMatchObject({ gathers: true, unit: 0 });
    one.dispatcher.gathersAtMost(route, only, 2);
    expect(one.cluster.holds.get(heavy.holdId)?.ask).toMatchObject({ gathers: false, unit: 0 });
    expect(comes(1).served).toEqual([only]);
    jest.advanceTimersByTime(1_100);
    expect([only.gathersFor, only.stub.gathered]).toEqual([heavy, [4, 0, 4]]);
    expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(true);
  });

  test('lets those behind it have the slots of old relays, and tells the directory once that those are of no use', () => {
    const { bench: one, route, comes } = bench();
    const relay = oldRelay(1, 0);
    one.links(route, relay);
    const [heavy, ...lights] = [comes(2), comes(1), comes(1)] as const;
    relay.stub.idle = 2;
    route.slots.refilled(relay);
    one.dispatcher.match(route);
    expect(lights.map(({ served }) => served)).toEqual([[relay], [relay]]);
    const told = one.cluster.held;
    one.ends(route, relay);
    one.ends(route, relay);
    expect([heavy.served, relay.stub.gathered, one.cluster.held]).toEqual([[], [], told]);
    expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(true);
    jest.advanceTimersByTime(COSTS.holdTimeoutMs);
    expect(heavy.codes).toEqual(['hold_timeout']);
  });

  test('has a relay gather for it, which serves others meanwhile and keeps nothing', () => {
    const { bench: one, route, comes } = bench();
    const relay = busy(1, 0, 0, { relayed: true });
    one.links(route, relay);
    const heavy = comes(2);
    expect([relay.gathersFor, relay.stub.gathered]).toEqual([heavy, [2]]);
    expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(true);
    const light = comes(1);
    relay.stub.idle = 1;
    route.slots.refilled(relay);
    one.dispatcher.match(route);
    expect([heavy.served, light.served]).toEqual([[], [relay]]);
    one.ends(route, relay);
    expect([relay.stub.idle, relay.stub.returned]).toEqual([0, 1]);
    relay.stub.idle = 2;
    route.slots.refilled(relay);
    one.dispatcher.match(route);
    expect([heavy.served, relay.gathersFor, relay.stub.gathered]).toEqual([[relay], undefined, [2, 0]]);
    one.ends(route, relay, 2);
    one.expectNothingLeft();
  });

  test('asks the directory for the slots of other nodes while a relay says that its node can not have so many', () => {
    const { bench: one, route, comes } = bench();
    const relay = busy(1, 0, 0, { relayed: true });
    one.links(route, relay);
    const heavy = comes(4);
    one.dispatcher.gathersAtMost(route, relay, 2);
    expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(false);
    jest.advanceTimersByTime(1_100);
    expect([relay.gathersFor, relay.stub.gathered]).toEqual([heavy, [4, 0, 4]]);
    expect(one.cluster.holds.get(heavy.holdId)?.ask?.gathers).toBe(true);
  });

  test('whose stream fails comes back as one that asks for slots anew', () => {
    const { bench: one, route, comes } = bench();
    const [first, second] = [busy(1, 1, 1), busy(2, 0, 2)];
    one.links(route, first, second);
    const heavy = comes(2);
    one.ends(route, first);
    expect(heavy.served).toEqual([first]);
    first.stub.end(2);
    one.dispatcher.retry(heavy);
    expect(one.cluster.holds.get(heavy.holdId)?.ask).toMatchObject({ gathers: false, unit: 0 });
  });

  test('does not give up its turn while no instance is free: shares count among them', () => {
    const one = new Bench();
    const route = one.route({ ...COSTS, ...parseRouteSettings({ fairBy: 'header:X-Tenant', cost: 'header:X-Cost', trustClients: true }) });
    const only = busy(1, 0, 2);
    one.links(route, only);
    const many = [1, 2, 3, 4, 5, 6].map(() => comes(one, route, 2, 'greedy'));
    const alone = comes(one, route, 2, 'modest');
    const order: StandInVisit[] = [];
    for (let i = 0; i < 7; i++) {
      expect(route.gatherings.size).toBeLessThanOrEqual(1);
      one.ends(route, only, 2);
      order.push(...[...many, alone].filter((visit) => visit.served.length > 0 && !order.includes(visit)));
    }
    expect(order).toHaveLength(7);
    expect(order.indexOf(alone)).toBeLessThan(3);
  });

  test('keeps nobody from an idle slot that it can not use itself, however many there are', () => {
    const { bench: one, route, comes } = bench();
    const [large, small] = [busy(1, 0, 8), busy(2, 0, 1, { concurrency: 1, concurrencyMax: 1 })];
    one.links(route, large, small);
    const heavy = Array.from({ length: 2_000 }, () => comes(8));
    const light = comes(1);
    one.ends(route, small);
    expect(light.served).toEqual([small]);
    // Each look at them is a short one.
    const { lenders } = route.slots;
    let looks = 0;
    const counted = lenders.map(
      (by) =>
        new Proxy(by, {
          get(of, name) {
            looks++;
            return Reflect.get(of, name);
          },
        }),
    );
    lenders.splice(0, 2, ...counted);
    one.dispatcher.match(route);
    expect(looks).toBeLessThan(100);
    expect(heavy.filter(({ served }) => served.length > 0)).toEqual([]);
  });
});

describe('of several instances the one is reserved', () => {
  test.each<[string, number, StandInLender[], number | null]>([
    ['that lacks least', 4, [busy(1, 1, 3), busy(2, 3, 1), busy(3, 2, 2)], 2],
    ['whose limit is high enough, though another lacks less', 4, [busy(1, 0, 4), busy(2, 3, 0, { concurrency: 3 })], 1],
    ['whose limit may become high enough, where there is no other', 4, [busy(1, 0, 2, { concurrency: 2, concurrencyMax: 4 })], 1],
    ['and none that can never have so many', 4, [busy(1, 0, 2, { concurrency: 2, concurrencyMax: 3 })], null],
    ['and no relay, where there is another', 4, [busy(1, 3, 9, { relayed: true }), busy(2, 0, 9)], 2],
    ['and a relay rather than one that fails', 4, [busy(1, 0, 0, { relayed: true }), busy(2, 3, 9, SUSPECT)], 1],
    ['and no relay of an earlier version', 4, [oldRelay(1, 3)], null],
    ['and none that fails, where there is another', 4, [busy(1, 3, 9, SUSPECT), busy(2, 0, 9)], 2],
  ])('%s', (_name, cost, lenders, expected) => {
    const { bench: one, route, comes } = bench();
    // A larger one is elsewhere.
    route.largest = 10;
    one.links(route, ...lenders);
    const heavy = comes(cost);
    expect(lenders.filter(({ gathersFor }) => gathersFor === heavy).map(({ seq }) => seq)).toEqual(expected === null ? [] : [expected]);
  });

  test.each([
    [4, true],
    [3, false],
  ])('of an old linker by the limit that it has: %d slots', (concurrency, isReserved) => {
    const { bench: one, route, comes } = bench();
    const old = busy(1, 1, concurrency - 1, { concurrency, concurrencyMax: 10 });
    old.stub.countsCosts = false;
    one.links(route, old);
    const heavy = comes(4);
    expect(old.gathersFor).toBe(isReserved ? heavy : undefined);
  });
});

describe('more than an instance can ever have is refused', () => {
  test.each<[string, number, number | null, Parameters<typeof lender>[2] | null, boolean]>([
    ['as the directory knows them', 5, 4, null, true],
    ['not as many', 4, 4, null, false],
    ['not while the directory knows none', 5, null, null, false],
    ['not where one that is here may have more than the directory knows', 5, 4, { concurrency: 8 }, false],
    ['not where the limit of one here moves', 5, 4, { concurrency: 2, setBy: 'header' }, false],
    ['as the flag says it, which nobody moves', 5, 4, { concurrency: 4, setBy: 'flag' }, true],
    ['as a relay does not know better', 5, 4, { relayed: true }, true],
    ['never for one slot', 1, 0, null, false],
  ])('%s', (_name, cost, largest, over, isRefused) => {
    const { bench: one, route, comes } = bench();
    route.largest = largest;
    if (over !== null) one.links(route, busy(1, 0, 1, over));
    expect(comes(cost).codes).toEqual(isRefused ? ['too_costly'] : []);
  });

  test('also while it waits aside, when the larger instance is gone', () => {
    const { bench: one, route, comes } = bench();
    const [large, small] = [busy(1, 1, 7), busy(2, 0, 2, { concurrency: 2, concurrencyMax: 2 })];
    route.largest = 8;
    one.links(route, large, small);
    const heavy = comes(8);
    route.slots.remove(large);
    route.largest = 2;
    one.dispatcher.lenderGone(route, large);
    expect(heavy.codes).toEqual(['too_costly']);
  });
});
