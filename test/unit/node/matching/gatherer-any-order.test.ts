/** Requests that take several slots of one instance, in any order of events. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { bench, comesBack, oldRelay, StandInErrand } from '../../../support/harness/gathering-bench.ts';
import { lender, type StandInLender, type StandInVisit } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

test('whatever comes, ends, leaves and breaks: nobody has more than is there, nothing stays reserved, and each visit has one end', () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom(
        ...['arrive', 'arrive', 'arrive', 'end', 'end', 'end', 'leave', 'link', 'break', 'most', 'time', 'largest'],
        ...['errand', 'errand over', 'back'],
      ),
      pick: fc.nat({ max: 60 }),
    }),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const { bench: one, route, comes } = bench();
      const served = new Map<StandInVisit, StandInLender>();
      const errands = new Set<StandInErrand>();
      let seq = 0;
      for (const { kind, pick } of all) {
        const held = one.visits.filter(({ queue }) => queue !== null);
        const running = [...served];
        const by = one.lenders[pick % Math.max(1, one.lenders.length)];
        if (kind === 'arrive') comes(1 + (pick % 4));
        else if (kind === 'link' && pick % 11 === 0) one.links(route, oldRelay(++seq, 1 + (pick % 5)));
        else if (kind === 'link') one.links(route, lender(++seq, 1 + (pick % 5), { relayed: pick % 7 === 0 }));
        else if (kind === 'errand') {
          const errand = new StandInErrand(2 + (pick % 3), pick % 9 !== 0);
          errands.add(errand);
          one.dispatcher.errandBegins(route, errand);
        } else if (kind === 'errand over' && errands.size > 0)
          route.gatherings.endErrand([...errands][pick % errands.size] as StandInErrand);
        else if (kind === 'back' && by !== undefined) {
          comesBack(one, route, by);
        } else if (kind === 'time') jest.advanceTimersByTime(pick * 40);
        else if (kind === 'largest') one.dispatcher.match(Object.assign(route, { largest: pick % 3 === 0 ? null : 4 }));
        else if (kind === 'most' && by !== undefined) one.dispatcher.gathersAtMost(route, by, pick % 5);
        else if (kind === 'leave' && held.length > 0) {
          const visit = held[pick % held.length] as StandInVisit;
          visit.left = true;
          one.holds.release(visit);
        } else if (kind === 'end' && running.length > 0) {
          const [visit, at] = running[pick % running.length] as (typeof running)[number];
          served.delete(visit);
          visit.left = true;
          one.ends(route, at, visit.cost);
        } else if (kind === 'break' && by !== undefined && pick % 3 === 0) {
          route.slots.remove(by);
          one.lenders.splice(one.lenders.indexOf(by), 1);
          by.stub.idle = 0;
          for (const [visit, at] of running) {
            if (at !== by) continue;
            served.delete(visit);
            visit.left = true;
          }
          one.dispatcher.lenderGone(route, by);
        }
        // A turn ends.
        jest.advanceTimersByTime(1);
        for (const visit of one.visits) if (visit.served.length > 0 && !visit.isOver) served.set(visit, visit.served[0] as StandInLender);
        for (const { stub } of one.lenders) expect(stub.idle >= 0 && stub.active >= 0).toBe(true);
        const reserved = one.lenders.flatMap(({ gathersFor }) => gathersFor ?? []);
        const waiting = route.gatherings.all.flatMap(({ lender: by, visit, errand }) => (by === null ? [] : (visit ?? errand)));
        expect(new Set(reserved)).toEqual(new Set(waiting));
        const next = route.held.next as StandInVisit | null;
        // One of several slots keeps its turn only where nobody else could use a slot.
        if (next !== null) expect(route.hasIdle).toBe(false);
      }
      for (const [visit, at] of served) one.ends(route, at, visit.cost);
      for (const visit of one.visits) if (visit.queue !== null) one.holds.release(visit);
      for (const errand of errands) {
        expect(errand.refused.length).toBeLessThan(2);
        expect(errand.delivered.filter(({ relayed }) => relayed)).toEqual([]);
        route.gatherings.endErrand(errand);
      }
      jest.advanceTimersByTime(2_000);
      for (const visit of one.visits) expect(visit.served.length + visit.refused.length).toBeLessThan(2);
      for (const { gathersFor } of one.lenders) expect(gathersFor).toBeUndefined();
      expect(route.gatherings.size).toBe(0);
      one.expectNothingLeft();
    }),
  );
});
