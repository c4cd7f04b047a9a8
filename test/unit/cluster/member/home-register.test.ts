import { describe, expect, test } from '@jest/globals';
import type { InstanceInfo } from '../../../../src/cluster/cluster.ts';
import { HomeRegister } from '../../../../src/cluster/member/home-register.ts';

const info: InstanceInfo = { id: 'i1', seq: 1, concurrency: 10, state: 'starting', active: 0 };

describe('the register of instances', () => {
  test('a new instance is claimed at once, later only named', () => {
    const register = new HomeRegister();
    expect(register.set(info)).toBe(false);
    expect(register.urgent).toBe(true);
    expect(register.take()).toEqual({ instances: [{ id: 'i1', info, claim: true }], gone: [] });
    expect(register.urgent).toBe(false);
    expect(register.take()).toEqual({ instances: [{ id: 'i1', info: null, claim: false }], gone: [] });
  });

  test('a changed number waits for the beat, a changed state does not', () => {
    const register = new HomeRegister();
    register.set(info);
    register.take();
    register.set({ ...info, active: 3 });
    expect(register.urgent).toBe(false);
    expect(register.take().instances).toEqual([{ id: 'i1', info: { ...info, active: 3 }, claim: false }]);
    expect(register.set({ ...info, state: 'ready' })).toBe(true);
    expect(register.urgent).toBe(true);
  });

  test('one that may leave stays draining, whatever it says', () => {
    const register = new HomeRegister();
    register.set({ ...info, state: 'ready' });
    register.retired('i1');
    expect(register.set({ ...info, state: 'ready', active: 2 })).toBe(false);
    expect(register.take().instances).toEqual([{ id: 'i1', info: { ...info, state: 'draining', active: 2 }, claim: true }]);
  });

  test('what a failed beat said is said again, and what has changed since is not undone', () => {
    const register = new HomeRegister();
    register.set(info);
    register.set({ ...info, id: 'i2' });
    register.take();
    register.remove('i2');
    const beat = register.take();
    register.set({ ...info, id: 'i2' });
    register.failed(beat);
    expect(register.take().gone).toEqual([]);
    register.remove('i1');
    register.failed(register.take());
    expect(register.take().gone).toEqual(['i1']);
  });

  test('what the directory lost is said in full, but not claimed', () => {
    const register = new HomeRegister();
    register.set(info);
    register.take();
    register.sayAgain(['i1', 'unknown']);
    expect(register.urgent).toBe(true);
    expect(register.take().instances).toEqual([{ id: 'i1', info, claim: false }]);
    register.sayAgain(null);
    expect(register.take().instances).toEqual([{ id: 'i1', info, claim: false }]);
  });
});
