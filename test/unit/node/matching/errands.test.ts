/** Clients of other nodes that take several slots of one instance, which those nodes have by relays only. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { bench, busy, comesBack, StandInErrand } from '../../../support/harness/gathering-bench.ts';
import type { StandInLender } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('for a client of another node, to which slots are only lent on', () => {
  test('those of one instance are kept until there are enough, and go there all at once', () => {
    const { bench: one, route, comes } = bench();
    const [old, newest] = [busy(1, 0, 2), busy(2, 1, 2)];
    one.links(route, old, newest);
    const errand = new StandInErrand(3);
    one.dispatcher.errandBegins(route, errand);
    expect([newest.gathersFor, newest.stub.gathered]).toEqual([errand, [3]]);
    const light = comes(1);
    one.ends(route, newest);
    expect([light.served, errand.delivered]).toEqual([[], []]);
    one.ends(route, old);
    one.ends(route, newest);
    expect([light.served, errand.delivered]).toEqual([[old], [newest]]);
    // Its linker brings them nowhere else until the other node says that it has them.
    expect([newest.gathersFor, newest.stub.gathered]).toEqual([errand, [3]]);
    route.gatherings.endErrand(errand);
    expect([newest.gathersFor, newest.stub.gathered]).toEqual([undefined, [3, 0]]);
  });

  test('those that come back unused are lent on once a second', () => {
    const { bench: one, route } = bench();
    const only = busy(1, 2, 0);
    one.links(route, only);
    const errand = new StandInErrand(2);
    one.dispatcher.errandBegins(route, errand);
    comesBack(one, route, only);
    expect(errand.delivered).toHaveLength(1);
    jest.advanceTimersByTime(1_100);
    expect(errand.delivered).toHaveLength(2);
  });

  test('it waits in line with those who are held here', () => {
    const { bench: one, route, comes } = bench();
    const only = busy(1, 0, 2);
    one.links(route, only);
    const first = comes(2);
    const errand = new StandInErrand(2);
    one.dispatcher.errandBegins(route, errand);
    const last = comes(2);
    expect([only.gathersFor, errand.refused]).toEqual([first, []]);
    one.ends(route, only, 2);
    expect([first.served, errand.delivered]).toEqual([[only], []]);
    one.ends(route, only, 2);
    expect([errand.delivered, last.served]).toEqual([[only], []]);
    route.gatherings.endErrand(errand);
    comesBack(one, route, only);
    expect(last.served).toEqual([only]);
  });

  test.each<[string, number, StandInLender[], boolean]>([
    [
      'no instance here can have so many',
      3,
      [busy(1, 0, 2, { concurrency: 2, concurrencyMax: 2 }), busy(2, 3, 0, { concurrencyMax: 3 })],
      true,
    ],
    ['there are only relays here, too', 0, [busy(1, 9, 0, { relayed: true })], true],
    ['that node is out of reach', 0, [busy(1, 9, 0)], false],
    ['no instance is here', 0, [], true],
  ])('it is told so when %s', (_name, most, lenders, isReached) => {
    const { bench: one, route } = bench();
    one.links(route, ...lenders);
    const errand = new StandInErrand(4, isReached);
    one.dispatcher.errandBegins(route, errand);
    expect([errand.refused, route.gatherings.size]).toEqual([[most], 0]);
    for (const { gathersFor } of lenders) expect(gathersFor).toBeUndefined();
  });

  test('it is told so when the linker says so, and another instance is reserved where one is', () => {
    const { bench: one, route } = bench();
    const [first, second] = [busy(1, 0, 4), busy(2, 1, 4)];
    one.links(route, first, second);
    const errand = new StandInErrand(4);
    one.dispatcher.errandBegins(route, errand);
    one.dispatcher.gathersAtMost(route, second, 3);
    expect([first.gathersFor, second.gathersFor, errand.refused]).toEqual([errand, undefined, []]);
    one.dispatcher.gathersAtMost(route, first, 2);
    expect([first.gathersFor, errand.refused]).toEqual([undefined, [3]]);
  });
});
