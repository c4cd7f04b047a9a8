import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LentSlots } from '../../../../src/node/matching/lent-slots.ts';
import { lender, type StandInLender } from '../../../support/harness/stand-ins.ts';

describe('the newest instance first', () => {
  test('serves from the newest that has an idle slot, whatever the order in which they linked', () => {
    const slots = new LentSlots();
    const [old, newest, middle] = [lender(1, 1), lender(3, 2), lender(2, 1)];
    for (const one of [old, newest, middle]) slots.add(one);
    const order = [];
    for (let chosen = slots.choose('newest'); chosen !== null; chosen = slots.choose('newest')) {
      order.push(chosen);
      (chosen as StandInLender).stub.serve();
    }
    expect(order).toEqual([newest, newest, middle, old]);
    middle.stub.end();
    slots.refilled(middle);
    expect(slots.choose('newest')).toBe(middle);
    newest.stub.end();
    slots.refilled(newest);
    expect(slots.choose('newest')).toBe(newest);
  });

  test('spread: serves from the one with most idle slots, the newer of two that have as many', () => {
    const slots = new LentSlots();
    const [a, b, c] = [lender(1, 3), lender(2, 1), lender(3, 3)];
    for (const one of [a, b, c]) slots.add(one);
    const order = [];
    for (let chosen = slots.choose('spread'); chosen !== null; chosen = slots.choose('spread')) {
      order.push((chosen as StandInLender).seq);
      (chosen as StandInLender).stub.serve();
    }
    expect(order).toEqual([3, 1, 3, 1, 3, 2, 1]);
  });

  test('finds what a search through all would find, whatever comes, goes and refills', () => {
    const steps = fc.array(
      fc.record({
        kind: fc.constantFrom('link', 'break', 'choose', 'choose', 'choose', 'refill', 'spread'),
        pick: fc.nat({ max: 12 }),
        idle: fc.nat({ max: 3 }),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const slots = new LentSlots();
        // Seqs collide: instances that started in the same millisecond.
        for (const { kind, pick, idle } of all) {
          const one = slots.lenders[pick % Math.max(1, slots.lenders.length)] as StandInLender | undefined;
          if (kind === 'link') slots.add(lender(pick % 6, idle, { relayed: pick % 4 === 0 }));
          else if (one === undefined) continue;
          else if (kind === 'break') slots.remove(one);
          else if (kind === 'refill') {
            one.stub.idle += idle + 1;
            slots.refilled(one);
          } else (slots.choose(kind === 'spread' ? 'spread' : 'newest') as StandInLender | null)?.stub.serve();
          expectAsSearched(slots);
        }
      }),
    );
  });
});

test('what was lent on by another node is not counted as movable', () => {
  const slots = new LentSlots();
  const [own, relayed] = [lender(1, 3), lender(2, 4, { relayed: true })];
  slots.add(own);
  slots.add(relayed);
  own.stub.serve();
  expect([slots.movable(true), slots.active, slots.relayed]).toEqual([2, 1, [relayed]]);
  slots.remove(relayed);
  slots.remove(relayed);
  expect([slots.lenders, slots.relayed]).toEqual([[own], []]);
});

test('a thousand busy instances are not looked at for each request', () => {
  const slots = new LentSlots();
  let looks = 0;
  for (let seq = 1_000; seq > 0; seq--) {
    const one = lender(seq, 1);
    Object.defineProperty(one, 'link', {
      get() {
        looks++;
        return one.stub;
      },
    });
    slots.add(one);
  }
  for (let i = 0; i < 900; i++) (slots.choose('newest') as StandInLender).stub.serve();
  looks = 0;
  for (let i = 0; i < 1_000; i++) slots.choose('newest');
  expect(looks).toBeLessThan(3_100);
});

function expectAsSearched(slots: LentSlots): void {
  const { lenders } = slots;
  expect([...lenders].sort((a, b) => b.seq - a.seq)).toEqual(lenders);
  expect(slots.movable(true)).toBe(lenders.reduce((sum, { relayed, link }) => sum + (relayed ? 0 : link.idle), 0));
  expect(slots.relayed.length).toBe(lenders.filter(({ relayed }) => relayed).length);
  expect(slots.choose('newest')).toBe(lenders.find(({ link }) => link.idle > 0) ?? null);
  const most = lenders.find(({ link }) => link.idle > 0 && lenders.every((other) => other.link.idle <= link.idle));
  expect(slots.choose('spread')).toBe(most ?? null);
}
