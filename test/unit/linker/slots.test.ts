import { describe, expect, test } from '@jest/globals';
import { Slots } from '../../../src/linker/slots.ts';

describe('Slots', () => {
  test('are at home until they are lent, and after they came back', () => {
    const slots = new Slots(5, () => {});
    expect(slots.allAtHome).toBe(true);
    slots.lend(3);
    expect([slots.atHome, slots.lent, slots.allAtHome]).toEqual([2, 3, false]);
    slots.takeBack(3);
    expect([slots.atHome, slots.lent, slots.allAtHome]).toEqual([5, 0, true]);
  });

  test('are nobody’s while they move', () => {
    const slots = new Slots(5, () => {});
    slots.beginMove(2);
    expect([slots.atHome, slots.allAtHome]).toEqual([3, false]);
    slots.endMove(2);
    slots.lend(5);
    expect(slots.atHome).toBe(0);
  });

  test('of a lost link are home but for those in use', () => {
    const slots = new Slots(5, () => {});
    slots.lend(4);
    slots.streamBegan();
    slots.linkLost(4, 1);
    expect([slots.atHome, slots.orphaned, slots.inUse]).toEqual([4, 1, 1]);
    slots.orphanHome();
    slots.streamEnded();
    expect([slots.atHome, slots.allAtHome, slots.inUse]).toEqual([5, true, 0]);
  });

  test('can not be lent twice', () => {
    const slots = new Slots(2, () => {});
    slots.lend(2);
    expect(() => slots.lend(1)).toThrow('1 slots lent, 0 are at home');
    expect(() => slots.beginMove(1)).toThrow('0 are at home');
    expect(() => slots.takeBack(3)).toThrow('2 are lent');
    expect(() => slots.endMove(1)).toThrow('0 are moving');
    expect(() => slots.orphanHome()).toThrow('not away');
    expect(() => slots.streamEnded()).toThrow('had not begun');
  });

  test('say how many are in use', () => {
    const seen: number[] = [];
    const slots = new Slots(2, (inUse) => seen.push(inUse));
    slots.streamBegan();
    slots.streamBegan();
    slots.streamEnded();
    expect(seen).toEqual([1, 2, 1]);
  });
});
