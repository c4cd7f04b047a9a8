import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Route } from '../../../../src/node/matching/route.ts';
import { ASKER, Bench } from '../../../support/harness/dispatch-bench.ts';
import { lender, type StandInLender, StandInVisit } from '../../../support/harness/stand-ins.ts';

const YIELD_MS = 25;

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('an older client waits at another node', () => {
  function benchWithOlderElsewhere(): { bench: Bench; route: Route; one: StandInLender } {
    const bench = new Bench();
    const route = bench.route();
    const one = lender(1, 2);
    bench.links(route, one);
    bench.cluster.elsewhereMs = 60_000;
    return { bench, route, one };
  }

  test('the idle slot is kept back for it and told to the cluster, and serves here when it has not been moved after 25 ms', async () => {
    const { bench, route, one } = benchWithOlderElsewhere();
    const visit = bench.arrives(route);
    expect(visit.served).toEqual([]);
    expect(await bench.level(route)).toBe(2);
    jest.advanceTimersByTime(YIELD_MS - 1);
    expect(visit.served).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(visit.served).toEqual([one]);
    // One of them looks after estimates.
    expect(jest.getTimerCount()).toBe(2);
    bench.expectNothingLeft();
  });

  test('all that came meanwhile are served then, oldest first, and the next ones at once: it was in vain', () => {
    const { bench, route } = benchWithOlderElsewhere();
    const first = bench.arrives(route);
    jest.advanceTimersByTime(20);
    const second = bench.arrives(route);
    jest.advanceTimersByTime(5);
    expect([first.served.length, second.served.length]).toEqual([1, 1]);
    bench.ends(route, first.served[0] as StandInLender);
    expect(bench.arrives(route).served.length).toBe(1);
    jest.advanceTimersByTime(200);
    bench.ends(route, first.served[0] as StandInLender);
    expect(bench.arrives(route).served).toEqual([]);
  });

  test('it goes there when the other node wants it, and the next idle slot is kept back anew', () => {
    const { bench, route, one } = benchWithOlderElsewhere();
    const visit = bench.arrives(route);
    jest.advanceTimersByTime(20);
    expect(bench.want(route, 2)).toBe(0);
    expect(one.stub.moves).toEqual([{ count: 2, address: ASKER }]);
    jest.advanceTimersByTime(10);
    one.stub.active++;
    bench.ends(route, one);
    jest.advanceTimersByTime(YIELD_MS - 1);
    expect(visit.served).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(visit.served).toEqual([one]);
  });

  test('it serves here as soon as the cluster says that nobody elsewhere needs it', () => {
    const { bench, route, one } = benchWithOlderElsewhere();
    const visit = bench.arrives(route);
    bench.cluster.elsewhereMs = null;
    bench.dispatcher.match(route);
    expect(visit.served).toEqual([one]);
  });

  test('who has waited longer here goes first', () => {
    const bench = new Bench();
    const route = bench.route();
    bench.cluster.elsewhereMs = 500;
    const [old, young] = [bench.arrives(route, new StandInVisit(performance.now() - 600)), bench.arrives(route)];
    bench.links(route, lender(1, 2));
    expect([old.served.length, young.served.length]).toEqual([1, 0]);
    jest.advanceTimersByTime(YIELD_MS);
    expect(young.served.length).toBe(1);
  });

  test('a slot that was relayed here for who is held here is not kept back', () => {
    const bench = new Bench();
    const route = bench.route();
    bench.cluster.elsewhereMs = 60_000;
    const visit = bench.arrives(route);
    bench.links(route, lender(1, 1, { relayed: true }));
    expect(visit.served.length).toBe(1);
  });

  test('a node that leaves keeps nothing back: its slots would go home', () => {
    const { bench, route } = benchWithOlderElsewhere();
    const visit = bench.arrives(route);
    bench.dispatcher.drain([route]);
    expect(visit.served.length).toBe(1);
  });
});

describe('moving idle slots away', () => {
  test('takes them from the newest first, over several lenders, and says how many are short', async () => {
    const bench = new Bench();
    const route = bench.route();
    const [a, b, relayed, c] = [lender(1, 2), lender(2, 1), lender(3, 5, { relayed: true }), lender(4, 1)];
    for (const one of [a, b, relayed, c]) route.slots.add(one);
    expect(bench.want(route, 3)).toBe(0);
    expect([a, b, relayed, c].map(({ stub }) => stub.moves.map(({ count }) => count))).toEqual([[1], [1], [], [1]]);
    expect(await bench.level(route)).toBe(1);
    expect(bench.want(route, 3)).toBe(2);
    expect(await bench.level(route)).toBe(0);
    expect(bench.handoffs.results).toEqual({ moved: 4, relayed: 0, failed: 0, short: 2 });
  });

  test('relays for linkers that can not reach the asker; what no relay takes is short', () => {
    const bench = new Bench();
    const route = bench.route();
    const [unreaching, reaching] = [lender(2, 3), lender(1, 1)];
    for (const one of [unreaching, reaching]) route.slots.add(one);
    bench.relays.neededFor.add(unreaching);
    bench.relays.takes = 2;
    expect(bench.want(route, 4)).toBe(1);
    expect(bench.relays.lent).toEqual([{ by: unreaching, count: 2 }]);
    expect(reaching.stub.moves.length).toBe(1);
    expect(bench.handoffs.results).toEqual({ moved: 1, relayed: 2, failed: 0, short: 1 });
  });
});

test('a slot that was relayed here goes back as soon as nobody is held', () => {
  const bench = new Bench();
  const route = bench.route();
  const one = lender(1, 3, { relayed: true });
  bench.arrives(route);
  bench.links(route, one);
  expect([one.stub.active, one.stub.idle, one.stub.returned]).toEqual([1, 0, 2]);
});
