import { afterEach, expect, test } from '@jest/globals';
import { DirectoryUnavailable } from '../../../src/cluster/directory.ts';
import { HISTORY_BUCKET_MS, HISTORY_ROUTES_MAX, type HistoryLog } from '../../../src/cluster/history.ts';
import { MemoryHistoryLog } from '../../../src/cluster/memory/history-log.ts';
import { HistoryRecorder } from '../../../src/node/history.ts';
import { RouteCounters } from '../../../src/node/matching/counters.ts';

const BUCKET = 50_000_000;
const START = BUCKET * HISTORY_BUCKET_MS;

let now = START;
let recorder: HistoryRecorder;
afterEach(() => recorder.close());

function aRoute(name = 'app.test') {
  const link = { idle: 0, active: 0 };
  return { name, held: { size: 0 }, slots: { lenders: [{ relayed: false, link }] }, counters: new RouteCounters(), link };
}

function record(routes: ReturnType<typeof aRoute>[]) {
  now = START;
  const cluster = { self: { id: 'a', address: '' }, connected: true, now: null, history: new MemoryHistoryLog(() => now) as HistoryLog };
  const unrouted = new RouteCounters();
  recorder = new HistoryRecorder(cluster, () => routes, unrouted);
  /** As if seconds passed, with a look at each. */
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      now += 1_000;
      recorder.look(now, now);
      await Promise.resolve();
    }
    await new Promise(setImmediate);
  };
  recorder.look(now, now);
  return { cluster, unrouted, pass, read: async (route: string | null) => (await cluster.history.read(route)).buckets };
}

test('what happens between two looks is counted once, in the bucket in which it happened', async () => {
  const route = aRoute();
  const { pass, read } = record([route]);
  const serve = (code: number, seconds: number): void => {
    route.counters.answered(code);
    route.counters.requests.observe(seconds);
  };
  for (let i = 0; i < 9; i++) serve(200, 0.012);
  serve(502, 4);
  route.counters.waited(0.9, true);
  Object.assign(route.link, { idle: 3, active: 2 });
  route.held.size = 7;
  await pass(1);
  route.held.size = 1;
  await pass(10);
  const first = {
    classes: [0, 9, 0, 0, 1],
    requests: { '0.015': 9, '5': 1 },
    holds: { '1': 1 },
    coldStarts: { '1': 1 },
    held: 7,
    slots: 5,
  };
  expect(await read('app.test')).toMatchObject([{ bucket: BUCKET, numbers: { ...first, active: 1.8, ms: 10_000 } }]);
  // Nothing new: the same is written again, with more of the bucket.
  await pass(15);
  expect(await read('app.test')).toMatchObject([{ bucket: BUCKET, numbers: { ...first, ms: 20_000 } }]);
  serve(404, 0.0001);
  await pass(16);
  expect(await read('app.test')).toMatchObject([
    { bucket: BUCKET, numbers: { ...first, classes: [0, 9, 0, 1, 1], requests: { '0.0005': 1, '0.015': 9, '5': 1 }, ms: 30_000 } },
    { bucket: BUCKET + 1, numbers: { classes: [0, 0, 0, 0, 0], requests: {}, held: 1, slots: 5 } },
  ]);
});

test('the sum has all routes, and responses without one; of the routes the busiest are told', async () => {
  const routes = Array.from({ length: HISTORY_ROUTES_MAX + 50 }, (_, i) => aRoute(`r${i}.test`));
  const { pass, read, unrouted } = record(routes);
  for (const [i, { counters }] of routes.entries()) for (let n = 0; n <= i; n++) counters.answered(200);
  unrouted.answered(404);
  await pass(12);
  const all = routes.length * ((routes.length + 1) / 2);
  expect(await read(null)).toMatchObject([{ numbers: { classes: [0, all, 0, 1, 0] } }]);
  expect(await read('r49.test')).toEqual([]);
  expect(await read('r50.test')).toMatchObject([{ numbers: { classes: [0, 51, 0, 0, 0] } }]);
});

test('an idle route with nothing is not written', async () => {
  const route = aRoute();
  route.slots.lenders.length = 0;
  const { pass, read } = record([route]);
  await pass(12);
  expect(await read('app.test')).toEqual([]);
});

test('while the directory is away some minutes are kept, and written when it is back', async () => {
  const route = aRoute();
  const { pass, read, cluster } = record([route]);
  cluster.connected = false;
  for (let i = 0; i < 40; i++) {
    route.counters.answered(200);
    await pass(HISTORY_BUCKET_MS / 1_000);
  }
  expect(await read('app.test')).toEqual([]);
  cluster.connected = true;
  await pass(10);
  const found = await read('app.test');
  expect(found.length).toBeGreaterThan(15);
  expect(found.length).toBeLessThanOrEqual(20);
  expect(found.slice(0, -1).map(({ numbers }) => numbers.classes[1])).toEqual(found.slice(0, -1).map(() => 1));
});

test('a write that fails is done again; at the end what was counted last is written', async () => {
  const route = aRoute();
  const { pass, read, cluster } = record([route]);
  const log = cluster.history;
  let tries = 0;
  cluster.history = {
    ...log,
    write: async () => {
      tries++;
      throw new DirectoryUnavailable('away');
    },
  };
  route.counters.answered(200);
  await pass(10);
  expect(tries).toBe(1);
  cluster.history = log;
  route.counters.answered(200);
  await pass(3);
  await recorder.close();
  expect(await read('app.test')).toMatchObject([{ bucket: BUCKET, numbers: { classes: [0, 2, 0, 0, 0] } }]);
});
