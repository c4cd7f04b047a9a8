import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Ask, CREDIT, FairOrder, goesBefore, LINES_MAX, lineKey, PLAIN_ASK, type Place } from '../../../src/cluster/fair-order.ts';

interface Client {
  readonly id: number;
  readonly ask: Ask;
}

/** One server: clients enter, and the next one is served. */
class Queue {
  readonly order = new FairOrder<Client>((a, b) => a.id < b.id);
  #next = 0;

  enter(ask: Partial<Ask> = {}, arrival = this.#next): Place<Client> {
    const whole = { ...PLAIN_ASK, ...ask };
    return this.order.enter({ id: this.#next++, ask: whole }, arrival, whole);
  }

  serve(): Client {
    const place = this.order.first as Place<Client>;
    this.order.serve(place);
    this.order.leave(place);
    return place.client;
  }

  /** How often each value is served in `turns`; whoever is served comes again at once. */
  shares(turns: number, asks: readonly Partial<Ask>[]): Record<string, number> {
    for (const ask of asks) this.enter(ask);
    const served: Record<string, number> = {};
    for (let i = 0; i < turns; i++) {
      const { ask } = this.serve();
      served[ask.value] = (served[ask.value] ?? 0) + 1;
      this.enter(ask);
    }
    return served;
  }
}

const crowd = (count: number, ask: Partial<Ask>): Partial<Ask>[] => Array.from({ length: count }, () => ask);

describe('shares', () => {
  test('are equal for each value, however many clients it has', () => {
    const asks = [...crowd(120, { value: 'loud' }), ...crowd(7, { value: 'small' }), ...crowd(40, { value: 'other' })];
    expect(new Queue().shares(300, asks)).toEqual({ loud: 100, small: 100, other: 100 });
  });

  test('follow weights exactly', () => {
    const asks = [...crowd(50, { value: 'gold', unit: 1 / 4 }), ...crowd(50, { value: 'free' })];
    expect(new Queue().shares(500, asks)).toEqual({ gold: 400, free: 100 });
  });

  test('never differ by more than the credit and one service, at any moment', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 30, maxLength: 200 }), (values) => {
        const queue = new Queue();
        for (const value of ['a', 'b', 'c', ...values]) queue.enter({ value });
        const left = new Map<string, number>();
        for (const value of ['a', 'b', 'c', ...values]) left.set(value, (left.get(value) ?? 0) + 1);
        const served: Record<string, number> = { a: 0, b: 0, c: 0 };
        // While all three wait.
        while ([...left.values()].every((count) => count > 0)) {
          const { value } = queue.serve().ask;
          left.set(value, (left.get(value) as number) - 1);
          served[value] = (served[value] as number) + 1;
          expect(Math.max(...Object.values(served)) - Math.min(...Object.values(served))).toBeLessThanOrEqual(CREDIT + 1);
        }
      }),
    );
  });

  test('one who waits alone goes next, before crowds that have waited for long', () => {
    const queue = new Queue();
    queue.shares(50, [...crowd(50, { value: 'loud' }), ...crowd(50, { value: 'other' })]);
    queue.enter({ value: 'quiet' });
    expect(queue.serve().ask.value).toBe('quiet');
  });

  test('nobody gains by leaving and coming back', () => {
    const queue = new Queue();
    for (let i = 0; i < 200; i++) queue.enter({ value: 'patient' });
    let gained = 0;
    for (let i = 0; i < 100; i++) {
      queue.enter({ value: 'clever' });
      if (queue.serve().ask.value === 'clever') gained++;
      // It is out of the queue each time that it was served.
    }
    expect(gained).toBeLessThanOrEqual(50 + CREDIT + 1);
  });

  test('inside a value the oldest goes first, also one that came back to its place', () => {
    const queue = new Queue();
    queue.enter({ value: 'x' }, 5);
    queue.enter({ value: 'x' }, 9);
    queue.enter({ value: 'x' }, 1);
    expect([queue.serve().id, queue.serve().id, queue.serve().id]).toEqual([2, 0, 1]);
  });
});

describe('urgency', () => {
  test('is strict between classes', () => {
    const queue = new Queue();
    for (const urgency of [7, 3, 0, 5, 0]) queue.enter({ urgency });
    expect(Array.from({ length: 5 }, () => queue.serve().ask.urgency)).toEqual([0, 0, 3, 5, 7]);
  });

  test('the youngest of the least urgent is found for one who is more urgent, and nobody for one who is not', () => {
    const queue = new Queue();
    queue.enter({ urgency: 6 }, 1);
    const youngest = queue.enter({ urgency: 6 }, 2);
    queue.enter({ urgency: 4 }, 3);
    expect(queue.order.lessUrgent(5)).toBe(youngest);
    expect(queue.order.lessUrgent(6)).toBeNull();
    queue.order.leave(youngest);
    expect(queue.order.lessUrgent(3)?.arrival).toBe(1);
  });
});

describe('strangers who invent values', () => {
  test('share one line beyond so many, and leave nothing behind', () => {
    const queue = new Queue();
    for (let i = 0; i < 3 * LINES_MAX; i++) queue.enter({ value: `v${i}` });
    expect(queue.order.lines).toBe(LINES_MAX + 1);
    while (queue.order.size > 0) queue.serve();
    queue.order.clear();
    expect(queue.order.lines).toBe(0);
  });

  test('a line without clients is forgotten as soon as others have caught up', () => {
    const queue = new Queue();
    for (let i = 0; i < 20; i++) queue.enter({ value: 'loud' });
    for (let i = 0; i < 10; i++) {
      queue.enter({ value: `once${i}` });
      while (queue.serve().ask.value === 'loud');
    }
    for (let i = 0; i < 5; i++) queue.serve();
    queue.enter({ value: 'loud' });
    expect(queue.order.lines).toBeLessThanOrEqual(1 + CREDIT + 1);
  });
});

describe('between nodes', () => {
  const rank = (urgency: number, value: string, tag: number | null) => ({ urgency, value, tag });

  test.each([
    ['a more urgent one elsewhere goes before', rank(0, 'a', null), rank(3, 'b', 5), true],
    ['a less urgent one does not', rank(4, 'a', 0), rank(3, 'b', 5), false],
    ['one that waits alone goes before', rank(3, 'a', 8), rank(3, 'b', 10), true],
    ['lines that are nearly alike stay where they are', rank(3, 'a', 9), rank(3, 'b', 10), false],
    ['in one line ages decide', rank(3, 'a', 1), rank(3, 'a', 9), undefined],
    ['tags that are not known yet are not compared', rank(3, 'a', 1), rank(3, 'b', null), undefined],
  ])('%s', (_, elsewhere, here, expected) => {
    expect(goesBefore(elsewhere, here)).toBe(expected);
  });

  test('the directory’s word moves a line, and what it does not know yet is added', () => {
    const queue = new Queue();
    queue.enter({ value: 'a' });
    queue.enter({ value: 'b' });
    queue.order.learn({ key: lineKey({ urgency: 3, value: 'a' }), tag: 10, pace: 9 }, 2);
    expect(queue.order.tagOf('3a')).toBe(12);
    expect(queue.serve().ask.value).toBe('b');
    queue.order.learn({ key: '3nobody', tag: 10, pace: 9 }, 0);
    expect(queue.order.tagOf('3nobody')).toBeNull();
  });

  test('a directory that has lost its tags begins anew: nobody is behind for what was served before', () => {
    const queue = new Queue();
    queue.shares(400, [{ value: 'a' }, { value: 'b' }]);
    queue.enter({ value: 'c', unit: 50 });
    while (queue.serve().ask.value !== 'c');
    expect([queue.order.lines, queue.order.tagOf('3c')]).toEqual([3, expect.closeTo(250, -1)]);
    queue.order.learn({ key: '3a', tag: 0, pace: CREDIT }, 0);
    expect(queue.order.tagOf('3c')).toBeNull();
    queue.enter({ value: 'c' });
    expect(queue.order.tagOf('3c')).toBe(0);
  });
});
