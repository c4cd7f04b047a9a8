import { describe, expect, test } from '@jest/globals';
import { WaitWindow } from '../../../src/admin/waits.ts';
import { aNode } from '../../support/harness/pictures.ts';

describe('waits lately', () => {
  test('are what was counted since, over all nodes', () => {
    const window = new WaitWindow();
    window.add([aNode({ id: 'a', holds: { 0.1: 1_000 } }), aNode({ id: 'b', holds: {} })], 0);
    const { holds } = window.add([aNode({ id: 'a', holds: { 0.1: 1_060 } }), aNode({ id: 'b', holds: { 10: 40 } })], 1_000);
    expect(holds.count).toBe(100);
    expect(holds.p50Ms).toBeGreaterThan(40);
    expect(holds.p50Ms).toBeLessThanOrEqual(100);
    expect(holds.p99Ms).toBeGreaterThan(4_000);
    expect(holds.p99Ms).toBeLessThanOrEqual(10_000);
  });

  test('are forgotten when they are older than the window', () => {
    const window = new WaitWindow();
    window.add([aNode()], 0);
    expect(window.add([aNode({ holds: { 1: 5 }, coldStarts: { 1: 5 } })], 1_000).holds.count).toBe(5);
    const later = window.add([aNode({ holds: { 1: 5 }, coldStarts: { 1: 5 } })], 12_000);
    expect(later.holds).toEqual({ withinMs: 10_000, count: 0, p50Ms: null, p99Ms: null });
    expect(later.coldStarts).toMatchObject({ withinMs: 60_000, count: 5 });
  });

  test('do not count what a node counted before it was seen, nor less than nothing after its restart', () => {
    const window = new WaitWindow();
    window.add([aNode({ id: 'a', holds: { 1: 50 } })], 0);
    expect(window.add([aNode({ id: 'a', holds: { 1: 2 } }), aNode({ id: 'b', holds: { 1: 9 } })], 1_000).holds.count).toBe(0);
    expect(window.add([aNode({ id: 'a', holds: { 1: 3 } }), aNode({ id: 'b', holds: { 1: 9 } })], 2_000).holds.count).toBe(1);
  });

  test('beyond the last bound are the longest that is told apart', () => {
    const window = new WaitWindow();
    window.add([aNode()], 0);
    expect(window.add([aNode({ holds: { '+Inf': 1 } })], 1_000).holds).toMatchObject({ p50Ms: 60_000, p99Ms: 60_000 });
  });
});
