import { describe, expect, test } from '@jest/globals';
import { LentSlots } from '../../../../src/node/matching/lent-slots.ts';
import { Trust } from '../../../../src/node/matching/trust.ts';
import { lender, type StandInLender } from '../../../support/harness/stand-ins.ts';

function trusted(seq: number, idle: number, over: { active?: number } = {}): StandInLender & { readonly trust: Trust } {
  const made = lender(seq, idle);
  made.stub.active = over.active ?? 0;
  return Object.assign(made, { trust: new Trust(() => {}) });
}

describe('an instance', () => {
  test('is proven by its first response that is no failure of its own', () => {
    const trust = new Trust(() => {});
    trust.answered(404);
    expect(trust.state).toBe('proven');
    trust.failed();
    trust.answered(500);
    expect(trust.state).toBe('proven');
  });

  test('is suspect when it breaks off before it has ever answered, is told so once, and a good answer clears it', () => {
    let told = 0;
    const trust = new Trust(() => told++);
    trust.failed();
    trust.failed();
    expect([trust.state, told]).toEqual(['suspect', 1]);
    trust.answered(200);
    expect(trust.state).toBe('proven');
  });

  test('is suspect when its first three answers are failures', () => {
    const trust = new Trust(() => {});
    trust.answered(500);
    trust.answered(503);
    expect(trust.state).toBe('new');
    trust.answered(502);
    expect(trust.state).toBe('suspect');
  });
});

describe('of several instances', () => {
  test('a new one gets one request while others can serve, and everything when none can', () => {
    const [young, old] = [trusted(2, 5), trusted(1, 1)];
    old.trust.answered(200);
    const slots = new LentSlots();
    for (const one of [young, old]) slots.add(one);
    const served: number[] = [];
    for (let n = 0; n < 4; n++) {
      const chosen = slots.choose('newest') as StandInLender;
      chosen.stub.serve();
      served.push(chosen.seq);
    }
    expect(served).toEqual([2, 1, 2, 2]);
  });

  test('the newest gets them all once it is proven', () => {
    const [young, old] = [trusted(2, 5, { active: 3 }), trusted(1, 5)];
    for (const { trust } of [young, old]) trust.answered(200);
    const slots = new LentSlots();
    for (const one of [young, old]) slots.add(one);
    expect(slots.choose('newest')).toBe(young);
  });

  test.each(['newest', 'spread'] as const)(
    'a suspect is the last that is chosen, with %s, and none of its slots is offered to others',
    (balance) => {
      const [young, old] = [trusted(2, 5), trusted(1, 1)];
      young.trust.failed();
      const slots = new LentSlots();
      for (const one of [young, old]) slots.add(one);
      expect(slots.choose(balance)).toBe(old);
      expect([slots.movable(false), slots.movable(true)]).toEqual([1, 6]);
      old.stub.serve();
      expect(slots.choose(balance)).toBe(young);
    },
  );
});
