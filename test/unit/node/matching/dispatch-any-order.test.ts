import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import type { Route } from '../../../../src/node/matching/route.ts';
import { Bench } from '../../../support/harness/dispatch-bench.ts';
import { lender } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

test('whatever comes, fails, goes and ends: oldest first, each visit has one end, nothing is left and no slot idles beside a held visit', () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom(
        'arrive',
        'arrive',
        'arrive',
        'end',
        'end',
        'fail',
        'leave',
        'want',
        'refuse',
        'older',
        'time',
        'link',
        'break',
      ),
      pick: fc.nat({ max: 30 }),
    }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const bench = new Bench({ heldMax: 12 });
      const route = bench.route({ holdTimeoutMs: 400 });
      for (const { kind, pick } of all) {
        step(bench, route, kind, pick);
        expectNobodyOvertaken(bench, route);
      }
      bench.cluster.elsewhereMs = null;
      jest.advanceTimersByTime(1_000);
      bench.expectNothingLeft();
      for (const visit of bench.visits) expect(visit.refused.length).toBeLessThan(2);
    }),
  );
});

function step(bench: Bench, route: Route, kind: string, pick: number): void {
  const open = bench.lenders.filter(({ stub }) => stub.active > 0);
  const by = open[pick % Math.max(1, open.length)];
  const held = bench.visits.filter(({ queue }) => queue !== null);
  const one = held[pick % Math.max(1, held.length)];
  jest.advanceTimersByTime(1);
  if (kind === 'arrive') bench.arrives(route);
  else if (kind === 'link') bench.links(route, lender(pick % 5, pick % 3, { relayed: pick % 7 === 0 }));
  else if (kind === 'end' && by !== undefined) bench.ends(route, by);
  else if (kind === 'fail' && by !== undefined) {
    const visit = bench.visits.find(({ served, queue, isOver }) => served.at(-1) === by && queue === null && !isOver);
    if (visit !== undefined) bench.fails(visit);
  } else if (kind === 'leave' && one !== undefined) {
    one.left = true;
    bench.holds.release(one);
  } else if (kind === 'want') bench.want(route, pick % 3);
  else if (kind === 'refuse') bench.holds.refuseHold(route, one?.holdId ?? 'unknown');
  else if (kind === 'older') bench.cluster.elsewhereMs = pick % 2 === 0 ? null : pick * 10;
  else if (kind === 'time') jest.advanceTimersByTime(pick * 10);
  else if (kind === 'break' && by !== undefined) {
    route.slots.remove(by);
    by.stub.idle = 0;
    bench.lenders.splice(bench.lenders.indexOf(by), 1);
    for (const visit of bench.visits.filter(({ served, queue, isOver }) => served.at(-1) === by && queue === null && !isOver)) {
      // Its stream may have ended long ago: the stand-in does not know.
      if (by.stub.active-- <= 0) break;
      bench.dispatcher.retry(visit);
    }
    // They are matched at the end of the turn.
    jest.advanceTimersByTime(0);
  }
}

function expectNobodyOvertaken(bench: Bench, route: Route): void {
  const ages: number[] = [];
  for (let entry = route.held.oldest; entry !== null; entry = entry.newer) ages.push(entry.arrivedAt);
  expect([...ages].sort((a, b) => a - b)).toEqual(ages);
  expect([bench.tally.size, bench.cluster.holds.size]).toEqual([ages.length, ages.length]);
  const lies = route.slots.choose('newest') !== null;
  if (lies && ages.length > 0) expect(route.yielding.until).toBeGreaterThan(performance.now());
}
