import { describe, expect, test } from '@jest/globals';
import { HOLDS_PER_CALL_MAX } from '../../../../src/cluster/limits.ts';
import { HeldRegister, type HoldCall } from '../../../../src/cluster/member/held-register.ts';

const added = (calls: readonly HoldCall[]): string[] => calls.flatMap(({ change }) => change.add.map(({ id }) => id));
const removed = (calls: readonly HoldCall[]): string[] => calls.flatMap(({ change }) => change.remove);

describe('the register of held clients', () => {
  test('says a hold once, with its age', () => {
    const register = new HeldRegister();
    register.add('c1', 100, 10);
    expect(register.take(350)).toMatchObject([{ change: { add: [{ id: 'c1', ageMs: 250 }], remove: [], maxHeld: 10, reset: false } }]);
    expect(register.pending).toBe(false);
    expect(register.take(400)).toEqual([]);
  });

  test('says nothing of a hold that was over before it was said', () => {
    const register = new HeldRegister();
    register.add('c1', 0, 10);
    register.remove('c1');
    register.remove('unknown');
    expect(register.pending).toBe(false);
    expect(register.size).toBe(0);
  });

  test('says the end of a hold that is on its way', () => {
    const register = new HeldRegister();
    register.add('c1', 0, 10);
    const [call] = register.take(0);
    register.remove('c1');
    expect(removed(register.take(1))).toEqual(['c1']);
    if (call !== undefined) expect(register.settle(call, ['c1'])).toEqual([]);
  });

  test('has news for other nodes once the directory has the first client, or the first of a line, and not for those behind them', () => {
    const register = new HeldRegister();
    const told = (id: string, value?: string): boolean => {
      register.isAnew = false;
      register.add(id, 0, 10, value === undefined ? undefined : { urgency: 3, value, unit: 1, cost: 1 });
      const calls = register.take(0);
      expect(register.isAnew).toBe(false);
      for (const call of calls) register.settle(call, []);
      return register.isAnew;
    };
    expect(told('c1')).toBe(true);
    expect(told('c2')).toBe(false);
    expect(told('c3', 'quiet')).toBe(true);
    expect(told('c4', 'quiet')).toBe(false);
    expect(told('c5', 'loud')).toBe(true);
    register.remove('c3');
    register.remove('c4');
    expect(told('c6', 'quiet')).toBe(true);
  });

  test('cuts many into calls, oldest first, all removals before the first addition', () => {
    const register = new HeldRegister();
    const count = 2 * HOLDS_PER_CALL_MAX + 1;
    for (let i = 0; i < count; i++) register.add(`c${i}`, -i, 10_000);
    const first = register.take(0);
    expect(first).toHaveLength(3);
    expect(added(first)[0]).toBe(`c${count - 1}`);
    expect(first.every(({ change }) => change.add.length <= HOLDS_PER_CALL_MAX)).toBe(true);

    // The same ids end and begin again.
    for (let i = 0; i < count; i++) register.add(`c${i}`, i, 10_000);
    const calls = register.take(0);
    const lastRemoval = calls.findLastIndex(({ change }) => change.remove.length > 0);
    const firstAddition = calls.findIndex(({ change }) => change.add.length > 0);
    expect(removed(calls)).toHaveLength(count);
    expect(added(calls)).toHaveLength(count);
    expect(lastRemoval).toBeLessThanOrEqual(firstAddition);
    expect(calls.every(({ change }) => change.remove.length <= HOLDS_PER_CALL_MAX)).toBe(true);
  });

  test('a refused hold is gone, unless it ended or began anew meanwhile', () => {
    const register = new HeldRegister();
    for (const id of ['refused', 'ended', 'again', 'kept']) register.add(id, 0, 1);
    const [call] = register.take(0);
    register.remove('ended');
    register.add('again', 5, 1);
    if (call === undefined) throw new Error('no call');
    expect(register.settle(call, ['refused', 'ended', 'again'])).toEqual(['refused']);
    expect(register.size).toBe(2);
    expect(removed(register.take(6))).toEqual(['ended', 'again']);
  });

  test('after a loss nothing is said until it recovers, and then everything, the accepted without a bound', () => {
    const register = new HeldRegister();
    register.add('accepted', 0, 5);
    const [call] = register.take(0);
    if (call !== undefined) register.settle(call, []);
    register.add('unanswered', 1, 5);
    register.take(1);
    register.lose();
    register.add('new', 2, 5);
    register.remove('unknown');
    expect(register.pending).toBe(false);
    expect(register.take(3)).toEqual([]);

    register.recover();
    const calls = register.take(3);
    expect(calls.map(({ change }) => [change.add.map(({ id }) => id), change.maxHeld, change.reset])).toEqual([
      [['accepted'], null, true],
      [['unanswered', 'new'], 5, false],
    ]);
  });

  test('with nobody held, recovering still clears what the directory may have', () => {
    const register = new HeldRegister();
    register.lose();
    register.recover();
    expect(register.take(0)).toMatchObject([{ change: { add: [], remove: [], reset: true } }]);
  });

  test('knows how many the directory must have', () => {
    const register = new HeldRegister();
    register.add('c1', 0, 5);
    register.add('c2', 0, 5);
    const [call] = register.take(0);
    expect(register.bounds).toEqual({ least: 0, most: 2 });
    if (call !== undefined) register.settle(call, ['c2']);
    expect(register.bounds).toEqual({ least: 1, most: 1 });
    register.remove('c1');
    register.take(0);
    expect(register.bounds).toEqual({ least: 0, most: 0 });
    register.lose();
    expect(register.bounds.most).toBe(Number.POSITIVE_INFINITY);
  });
});
