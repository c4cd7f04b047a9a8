import { expect, test } from '@jest/globals';
import type { MetricsSnapshot, RouteNumbers } from '../../../src/admin/metrics-source.ts';
import { countersOnly, sumMetrics } from '../../../src/admin/sum-metrics.ts';

function route(name: string, held: number, ok: number): RouteNumbers {
  const histogram = { bounds: [0.1], counts: [ok, 1], sum: ok };
  const counts = {
    codes: new Map([[200, ok]]),
    hold: histogram,
    coldStart: histogram,
    requests: histogram,
    agentStarts: new Map([['taken', 3]]),
    limitChanges: new Map([['application', 2]]),
    wordsIgnored: 1,
    overloadRefused: 4,
    coldStages: { dial: histogram },
  };
  return { name, held, active: 1, slots: 2, free: 1, instances: 1, starting: 3, agents: { count: 1, room: 2, running: 3 }, counts };
}

const one: MetricsSnapshot = {
  routes: [route('a', 5, 10)],
  unrouted: new Map([[404, 1]]),
  handoffs: { moved: 2 },
  redisCommands: 7,
  redisConnected: true,
};
const other: MetricsSnapshot = {
  routes: [route('a', 1, 20), route('b', 2, 1)],
  handoffs: { moved: 1, failed: 4 },
  redisCommands: 3,
  redisConnected: false,
};

test('numbers of several processes are added up, the cluster’s own are not', () => {
  const sum = sumMetrics([one, other]);
  expect(sum.routes.map(({ name, held, starting }) => [name, held, starting])).toEqual([
    ['a', 6, 3],
    ['b', 2, 3],
  ]);
  expect(sum.routes.map(({ agents }) => agents)).toEqual([
    { count: 2, room: 4, running: 6 },
    { count: 1, room: 2, running: 3 },
  ]);
  expect(sum.routes[0]?.counts).toEqual({
    codes: new Map([[200, 30]]),
    hold: { bounds: [0.1], counts: [30, 2], sum: 30 },
    coldStart: { bounds: [0.1], counts: [30, 2], sum: 30 },
    requests: { bounds: [0.1], counts: [30, 2], sum: 30 },
    agentStarts: new Map([['taken', 6]]),
    limitChanges: new Map([['application', 4]]),
    wordsIgnored: 2,
    overloadRefused: 8,
    coldStages: { dial: { bounds: [0.1], counts: [30, 2], sum: 30 } },
  });
  expect(sum).toMatchObject({ unrouted: new Map([[404, 1]]), handoffs: { moved: 3, failed: 4 }, redisCommands: 10, redisConnected: false });
});

test.each([
  [undefined, undefined, undefined],
  [undefined, 0, 0],
  [0, 700, 700],
  [900, 700, 700],
])('of overloads (%s and %s ms) the one with the shortest wait counts', (a, b, sum) => {
  const at = (overloadMs: number | undefined): MetricsSnapshot => ({
    ...one,
    routes: [{ ...route('a', 1, 1), ...(overloadMs === undefined ? {} : { overloadMs }) }],
  });
  expect(sumMetrics([at(a), at(b)]).routes[0]?.overloadMs).toBe(sum);
});

test('of a process that is gone only what it had counted stays', () => {
  const [a] = sumMetrics([countersOnly(one), other]).routes;
  expect(a).toMatchObject({ held: 1, active: 1, slots: 2, free: 1, instances: 1 });
  expect(a?.counts.codes.get(200)).toBe(30);
  expect(countersOnly(one).redisConnected).toBeNull();
});

test('of nobody there is nothing', () => {
  expect(sumMetrics([])).toEqual({
    routes: [],
    unrouted: new Map(),
    handoffs: {},
    internalErrors: {},
    events: {},
    certificates: new Map(),
    redisCommands: 0,
    redisConnected: null,
    redisRefuses: false,
  });
});
