import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type Ask, OVERDUE, PLAIN_ASK } from '../../../../src/cluster/fair-order.ts';
import { FairDiscipline } from '../../../../src/node/matching/fair-discipline.ts';
import { HeldEntry, HeldQueue, HeldTally } from '../../../../src/node/matching/held-queue.ts';

const PRIORITY_WAIT_MS = 10_000;

class Asking extends HeldEntry<Asking> {
  ask: Ask | null = { ...PLAIN_ASK, value: 'x' };
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

function queueOf(): { queue: HeldQueue<Asking>; overdue: Asking[] } {
  const overdue: Asking[] = [];
  const discipline = new FairDiscipline<Asking>(PRIORITY_WAIT_MS, (entry) => overdue.push(entry));
  return { queue: new HeldQueue<Asking>(300_000, new HeldTally(), () => {}, discipline), overdue };
}

function enter(queue: HeldQueue<Asking>, agoMs = 0): Asking {
  const entry = new Asking(performance.now() - agoMs);
  queue.insert(entry);
  return entry;
}

test('one who has waited for priorityWait is among the most urgent, each at its time', () => {
  const { queue, overdue } = queueOf();
  const first = enter(queue);
  jest.advanceTimersByTime(4_000);
  const second = enter(queue);
  jest.advanceTimersByTime(PRIORITY_WAIT_MS - 4_000 + 1);
  expect(overdue).toEqual([first]);
  expect([first.ask, second.ask]).toMatchObject([
    { urgency: 0, value: OVERDUE },
    { urgency: 3, value: 'x' },
  ]);
  jest.advanceTimersByTime(4_000);
  expect(overdue).toEqual([first, second]);
});

test('one who comes back to its place has waited for as long as it is old, whoever else is held', () => {
  const { queue, overdue } = queueOf();
  enter(queue);
  const back = enter(queue, 7_000);
  const again = enter(queue, PRIORITY_WAIT_MS);
  jest.advanceTimersByTime(2);
  expect(overdue).toEqual([again]);
  jest.advanceTimersByTime(3_000);
  expect(overdue).toEqual([again, back]);
});
