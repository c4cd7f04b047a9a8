import { beforeEach, describe, expect, test } from '@jest/globals';
import { Metrics } from '../../../src/admin/metrics.ts';
import type { MetricsSnapshot } from '../../../src/admin/metrics-source.ts';
import { ROUTE_LABELS_MAX } from '../../../src/admin/route-labels.ts';
import { PLACES } from '../../../src/boundary.ts';
import { routeNumbers } from '../../support/harness/admin-source.ts';

let numbers: MetricsSnapshot;
let metrics: Metrics;

beforeEach(() => {
  numbers = { routes: [], handoffs: {}, redisCommands: 0, redisConnected: null };
  metrics = new Metrics(async () => numbers);
});

async function lines(prefix = 'pullproxy_'): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith(prefix));
}

describe('metrics', () => {
  test('show the numbers of each route', async () => {
    numbers = {
      routes: [
        routeNumbers('app.example.com', {
          held: 1,
          active: 2,
          slots: 3,
          free: 4,
          instances: 5,
          starting: 6,
          agents: { count: 2, room: 3, running: 4 },
          counts: {
            agentStarts: new Map([['taken', 5]]),
            codes: new Map([
              [200, 7],
              [503, 8],
            ]),
            hold: { bounds: [0.1, 1], counts: [1, 2, 3], sum: 9.5 },
            coldStart: { bounds: [0.1, 1], counts: [0, 0, 1], sum: 2 },
          },
        }),
      ],
      handoffs: { moved: 10, failed: 0 },
      startupCommands: new Map([['app.example.com', { ok: 11, failed: 12 }]]),
      redisCommands: 13,
      redisConnected: true,
      internalErrors: { link: 3 },
    };
    expect(await lines()).toEqual([
      'pullproxy_held{route="app.example.com"} 1',
      'pullproxy_active{route="app.example.com"} 2',
      'pullproxy_slots{route="app.example.com"} 3',
      'pullproxy_free_slots{route="app.example.com"} 4',
      'pullproxy_instances{route="app.example.com"} 5',
      'pullproxy_starting{route="app.example.com"} 6',
      'pullproxy_agents{route="app.example.com"} 2',
      'pullproxy_agent_room{route="app.example.com"} 3',
      'pullproxy_agent_instances{route="app.example.com"} 4',
      'pullproxy_agent_starts_total{route="app.example.com",result="taken"} 5',
      'pullproxy_requests_total{route="app.example.com",code="200"} 7',
      'pullproxy_requests_total{route="app.example.com",code="503"} 8',
      'pullproxy_hold_seconds_bucket{route="app.example.com",le="0.1"} 1',
      'pullproxy_hold_seconds_bucket{route="app.example.com",le="1"} 3',
      'pullproxy_hold_seconds_bucket{route="app.example.com",le="+Inf"} 6',
      'pullproxy_hold_seconds_sum{route="app.example.com"} 9.5',
      'pullproxy_hold_seconds_count{route="app.example.com"} 6',
      'pullproxy_cold_start_seconds_bucket{route="app.example.com",le="0.1"} 0',
      'pullproxy_cold_start_seconds_bucket{route="app.example.com",le="1"} 0',
      'pullproxy_cold_start_seconds_bucket{route="app.example.com",le="+Inf"} 1',
      'pullproxy_cold_start_seconds_sum{route="app.example.com"} 2',
      'pullproxy_cold_start_seconds_count{route="app.example.com"} 1',
      'pullproxy_handoffs_total{result="moved"} 10',
      'pullproxy_handoffs_total{result="failed"} 0',
      'pullproxy_startup_commands_total{route="app.example.com",result="ok"} 11',
      'pullproxy_startup_commands_total{route="app.example.com",result="failed"} 12',
      ...Object.keys(PLACES).map((where) => `pullproxy_internal_errors_total{where="${where}"} ${where === 'link' ? 3 : 0}`),
      'pullproxy_redis_commands_total 13',
      'pullproxy_redis_connected 1',
      'pullproxy_redis_refuses 0',
    ]);
  });

  test('say their types, and something about the process', async () => {
    const text = await metrics.text();
    expect(text).toContain('# TYPE pullproxy_hold_seconds histogram');
    expect(text).toContain('# TYPE pullproxy_requests_total counter');
    expect(text).toContain('# TYPE pullproxy_held gauge');
    expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m);
  });

  test('count answers that belong to no route', async () => {
    numbers = { ...numbers, unrouted: new Map([[404, 2]]) };
    expect(await lines()).toContain('pullproxy_requests_total{route="unknown",code="404"} 2');
  });

  test('of responses with a status that nobody has registered go by its class', async () => {
    const codes = new Map(Array.from({ length: 900 }, (_, i) => [100 + i, 1]));
    numbers = { ...numbers, routes: [routeNumbers('a', { counts: { ...routeNumbers('a').counts, codes } })] };
    const answers = await lines('pullproxy_requests_total{route="a"');
    expect(answers.length).toBeLessThan(75);
    expect(answers.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)).toBe(900);
    for (const code of ['200', '499', '503', '5xx', '9xx']) expect(answers.join()).toContain(`code="${code}"`);
  });

  test('have no histogram of what never happened', async () => {
    numbers = { ...numbers, routes: [routeNumbers('a')] };
    expect(await lines('pullproxy_hold_seconds')).toEqual([]);
    expect(await metrics.text()).toContain('# TYPE pullproxy_hold_seconds histogram');
  });

  test('of a route that is called as what belongs to none are added to that', async () => {
    const counts = { ...routeNumbers('unknown').counts, codes: new Map([[404, 1]]) };
    numbers = { ...numbers, routes: [routeNumbers('unknown', { counts })], unrouted: new Map([[404, 2]]) };
    expect(await lines('pullproxy_requests_total')).toEqual(['pullproxy_requests_total{route="unknown",code="404"} 3']);
  });

  test('say of an overload how long clients wait and how many were refused, also that there is none, once a client has left', async () => {
    const counts = { ...routeNumbers('a').counts, overloadRefused: 7 };
    numbers = {
      ...numbers,
      routes: [routeNumbers('a', { overloadMs: 480, counts }), routeNumbers('b', { overloadMs: 0 }), routeNumbers('c')],
    };
    expect(await lines('pullproxy_overload_')).toEqual([
      'pullproxy_overload_wait_seconds{route="a"} 0.48',
      'pullproxy_overload_wait_seconds{route="b"} 0',
      'pullproxy_overload_refused_total{route="a"} 7',
      'pullproxy_overload_refused_total{route="b"} 0',
    ]);
  });

  test('leave out what is not known', async () => {
    numbers = { ...numbers, routes: [routeNumbers('a')] };
    expect(await lines('pullproxy_starting')).toEqual([]);
    expect(await lines('pullproxy_redis_connected')).toEqual([]);
  });
});

describe('route labels', () => {
  const routes = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => routeNumbers(`r${from + i}`, { held: 1 }));

  test(`are bounded: from route ${ROUTE_LABELS_MAX + 1} on, routes share one`, async () => {
    numbers = { ...numbers, routes: routes(0, ROUTE_LABELS_MAX + 3) };
    const held = await lines('pullproxy_held{');
    expect(held).toHaveLength(ROUTE_LABELS_MAX + 1);
    expect(held.at(-1)).toBe('pullproxy_held{route="other"} 3');
  });

  test('make of five thousand routes a scrape that can be taken, in which nothing is lost', async () => {
    const count = 5_000;
    const all = routes(0, count).map((route) => ({
      ...route,
      active: 2,
      starting: 1,
      counts: {
        codes: new Map([[200, 3]]),
        hold: { bounds: [0.1], counts: [1, 1], sum: 1 },
        coldStart: { bounds: [0.1], counts: [0, 0], sum: 0 },
      },
    }));
    numbers = { ...numbers, routes: all, startupCommands: new Map(all.map(({ name }) => [name, { ok: 1 }])) };
    const samples = (await lines()).map((line) => line.split(/[{ ]/)).map((parts) => ({ name: parts[0], value: Number(parts.at(-1)) }));
    expect(samples.length).toBeLessThan(13 * (ROUTE_LABELS_MAX + 1));
    const sum = (name: string): number => samples.filter((sample) => sample.name === name).reduce((total, { value }) => total + value, 0);
    expect(
      ['held', 'active', 'starting', 'requests_total', 'hold_seconds_count', 'startup_commands_total'].map((name) =>
        sum(`pullproxy_${name}`),
      ),
    ).toEqual([count, 2 * count, count, 3 * count, 2 * count, count]);
    const names = new Set((await lines()).flatMap((line) => /route="([^"]*)"/.exec(line)?.[1] ?? []));
    expect(names.size).toBe(ROUTE_LABELS_MAX + 1);
  });

  test('stay what they were while the route is there, so that counters never jump', async () => {
    numbers = { ...numbers, routes: routes(0, ROUTE_LABELS_MAX + 1) };
    await lines();
    numbers = { ...numbers, routes: routes(10, ROUTE_LABELS_MAX + 1) };
    expect(await lines('pullproxy_held{route="other"}')).toEqual(['pullproxy_held{route="other"} 1']);
    numbers = { ...numbers, routes: routes(10, ROUTE_LABELS_MAX + 2) };
    expect(await lines(`pullproxy_held{route="r${ROUTE_LABELS_MAX + 1}"}`)).toHaveLength(1);
  });
});
