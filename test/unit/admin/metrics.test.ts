import { beforeEach, describe, expect, test } from '@jest/globals';
import { Metrics, ROUTE_LABELS_MAX } from '../../../src/admin/metrics.ts';
import type { MetricsSnapshot } from '../../../src/admin/metrics-source.ts';
import { routeNumbers } from './fake-source.ts';

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
          counts: {
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
    };
    expect(await lines()).toEqual([
      'pullproxy_held{route="app.example.com"} 1',
      'pullproxy_active{route="app.example.com"} 2',
      'pullproxy_slots{route="app.example.com"} 3',
      'pullproxy_free_slots{route="app.example.com"} 4',
      'pullproxy_instances{route="app.example.com"} 5',
      'pullproxy_starting{route="app.example.com"} 6',
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

  test('stay what they were while the route is there, so that counters never jump', async () => {
    numbers = { ...numbers, routes: routes(0, ROUTE_LABELS_MAX + 1) };
    await lines();
    numbers = { ...numbers, routes: routes(10, ROUTE_LABELS_MAX + 1) };
    expect(await lines('pullproxy_held{route="other"}')).toEqual(['pullproxy_held{route="other"} 1']);
    numbers = { ...numbers, routes: routes(10, ROUTE_LABELS_MAX + 2) };
    expect(await lines(`pullproxy_held{route="r${ROUTE_LABELS_MAX + 1}"}`)).toHaveLength(1);
  });
});
