import { describe, expect, test } from '@jest/globals';
import { DEMAND_MEMORY_MS, DEMAND_ROUTES_MAX } from '../../../../src/cluster/limits.ts';
import { Demand } from '../../../../src/cluster/member/demand.ts';

describe('demand elsewhere', () => {
  test('the oldest of what the nodes said counts', () => {
    const demand = new Demand();
    expect(demand.oldest('r', 0)).toBeNull();
    demand.notice('r', 'a', 500, 1_000, 0);
    demand.notice('r', 'b', 300, 1_000, 0);
    expect(demand.oldest('r', 0)).toBe(300);
    demand.notice('r', 'b', 700, 1_010, 10);
    expect(demand.oldest('r', 10)).toBe(500);
    expect(demand.oldest('other', 10)).toBeNull();
  });

  test('demand is forgotten after a second in which nobody repeats it', () => {
    const demand = new Demand();
    demand.notice('r', 'a', 500, 1_000, 0);
    demand.notice('r', 'b', 600, 1_500, 500);
    expect(demand.oldest('r', DEMAND_MEMORY_MS)).toBe(500);
    expect(demand.oldest('r', DEMAND_MEMORY_MS + 1)).toBe(600);
    expect(demand.oldest('r', DEMAND_MEMORY_MS + 501)).toBeNull();
    expect(demand.routes).toBe(0);
  });

  test('a search that has seen the whole route knows better than earlier notices', () => {
    const demand = new Demand();
    demand.notice('r', 'a', 500, 1_000, 0);
    demand.learn('r', 800, 1_001, 5);
    expect(demand.oldest('r', 5)).toBe(800);
    demand.learn('r', null, 1_002, 6);
    expect(demand.oldest('r', 6)).toBeNull();
  });

  test('a notice that was said after the search stays, whichever is heard first', () => {
    const demand = new Demand();
    demand.notice('r', 'a', 500, 1_003, 0);
    demand.learn('r', null, 1_002, 1);
    expect(demand.oldest('r', 1)).toBe(500);
  });

  test('as many routes are remembered as the bound says, the last ones', () => {
    const demand = new Demand();
    for (let i = 0; i < DEMAND_ROUTES_MAX + 10; i++) demand.notice(`r${i}`, 'a', i, 1_000, 0);
    expect(demand.routes).toBe(DEMAND_ROUTES_MAX);
    expect(demand.oldest('r9', 0)).toBeNull();
    expect(demand.oldest('r10', 0)).toBe(10);
  });
});
