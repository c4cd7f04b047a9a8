import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Queue, Worker } from 'bullmq';
import { DEFAULT_ROUTE_SETTINGS, type RouteSettings } from '../../../src/config/route-settings.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { type LogLine, recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let connection: BullConnection;
let jobs: Queue<StartupJob>;
let directory: FakeDirectories;
let logged: LogLine[];
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
  connection = connectBull(redis.url);
  connection.on('error', () => {});
  jobs = new Queue<StartupJob>(QUEUE_NAME, { connection, prefix: QUEUE_PREFIX });
  jobs.on('error', () => {});
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await connection.flushall();
  directory = new FakeDirectories();
  logged = [];
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

function startupQueue(defaults?: RouteSettings): StartupQueue {
  const { log, lines } = recordedLog();
  logged = lines;
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log, ...(defaults ? { defaults } : {}) });
  closers.push(() => queue.close());
  return queue;
}

/** Works on the jobs as `work` says; the returned list grows by each job's data. */
async function worker(work: (job: StartupJob) => Promise<void> = async () => {}): Promise<StartupJob[]> {
  const seen: StartupJob[] = [];
  const options = { connection, prefix: QUEUE_PREFIX, concurrency: 10 };
  const taking = new Worker<StartupJob>(
    QUEUE_NAME,
    async ({ data }) => {
      seen.push(data);
      await work(data);
    },
    options,
  );
  taking.on('error', () => {});
  closers.push(() => taking.close());
  await taking.waitUntilReady();
  return seen;
}

const waiting = async (): Promise<number> => (await jobs.getJobCounts('waiting')).waiting ?? 0;
const idle = async (): Promise<boolean> =>
  Object.values(await jobs.getJobCounts('waiting', 'active', 'delayed')).every((count) => count === 0);

function gate(): { open: () => void; opened: Promise<void> } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe('orders', () => {
  test('fifty of them at once for one route, from five nodes, run as two jobs at most', async () => {
    directory.of('app').held = 500;
    const { open, opened } = gate();
    const seen = await worker(() => opened);
    const nodes = Array.from({ length: 5 }, () => startupQueue());
    for (let n = 0; n < 50; n++) nodes[n % nodes.length]?.request('app');
    await eventually('the first job runs', () => seen.length === 1);
    for (let n = 0; n < 50; n++) nodes[n % nodes.length]?.request('app');
    await eventually('all have been ordered', async () => (await connection.hexists(`${QUEUE_PREFIX}:${QUEUE_NAME}:dn:app`, 'data')) === 1);
    // An order that comes after the second job has run would be one more, and rightly so.
    await Promise.all(nodes.map((node) => node.close()));
    expect(await waiting()).toBe(0);
    open();
    await eventually('the queue is empty', idle);
    expect(seen).toEqual([
      { route: 'app', force: 0, startIds: [] },
      { route: 'app', force: 0, startIds: [] },
    ]);
  });

  test('are given for each route on its own', async () => {
    for (const route of ['a', 'b', '*.example.com', '*']) directory.of(route).held = 1;
    const queue = startupQueue();
    for (const route of ['a', 'b', '*.example.com', '*']) queue.request(route);
    await eventually('four jobs wait', async () => (await waiting()) === 4);
  });

  test('are not given where nothing is missing', async () => {
    directory.of('app').held = 5;
    directory.of('app').starting.add('under-way');
    directory.of('other').held = 5;
    const queue = startupQueue();
    queue.request('app');
    queue.request('other');
    await eventually('one job waits', async () => (await waiting()) === 1);
    expect((await jobs.getWaiting()).map(({ data }) => data.route)).toEqual(['other']);
  });

  test('however often they are repeated, look at the route ten times a second at most', async () => {
    const queue = startupQueue();
    const end = performance.now() + 1_000;
    await eventually('a second has passed', () => {
      for (let n = 0; n < 100; n++) queue.request('app');
      return performance.now() > end;
    });
    expect(directory.of('app').plans).toBeGreaterThan(3);
    expect(directory.of('app').plans).toBeLessThanOrEqual(12);
  });

  test('for more instances than are needed run as the same two jobs, and not one of them is lost', async () => {
    const { open, opened } = gate();
    const seen = await worker(() => opened);
    directory.of('app').held = 5;
    const [one, other] = [startupQueue(), startupQueue()];
    one.request('app');
    await eventually('a job runs', () => seen.length === 1);
    one.request('app', 1);
    one.request('app', 2);
    other.request('app', 1);
    await eventually('all are wanted', () => directory.of('app').wanted === 4);
    await eventually('one more is ordered', async () => (await connection.hexists(`${QUEUE_PREFIX}:${QUEUE_NAME}:dn:app`, 'data')) === 1);
    await Promise.all([one.close(), other.close()]);
    open();
    await eventually('the queue is empty', idle);
    expect(seen).toHaveLength(2);
  });

  test('carry the settings of the node for a route that has none of its own, and only then', async () => {
    const defaults = { ...DEFAULT_ROUTE_SETTINGS, maxInstances: 3, startTimeoutMs: 5_000 };
    directory.of('unknown').settings = null;
    for (const route of ['unknown', 'known']) directory.of(route).held = 5;
    const seen = await worker();
    const queue = startupQueue(defaults);
    queue.request('unknown');
    await eventually('it is ordered', () => seen.length === 1);
    queue.request('known');
    await eventually('the other one, too', () => seen.length === 2);
    expect(seen.map((job) => job.defaults)).toEqual([{ minInstances: 0, maxInstances: 3, startTimeout: '5s' }, undefined]);
  });

  test('to stop what has left are given once for each instance', async () => {
    const seen = await worker();
    const queue = startupQueue();
    for (let n = 0; n < 3; n++) queue.left('app', { instance: 'i1', startId: 's1' });
    queue.left('app', { instance: 'i2' });
    await eventually('both are ordered', () => seen.length === 2);
    await eventually('the queue is empty', idle);
    expect(seen.map(({ leaver }) => leaver?.instance).sort()).toEqual(['i1', 'i2']);
  });

  test('lie in one hash slot, for Redis Cluster', async () => {
    directory.of('app').held = 5;
    const seen = await worker();
    startupQueue().request('app');
    await eventually('it has run', async () => seen.length === 1 && (await idle()));
    const keys = await connection.keys('*');
    expect(keys.length).toBeGreaterThan(3);
    expect(keys.filter((key) => !key.startsWith('{pp-bull}:startup:'))).toEqual([]);
  });
});

describe('without Redis', () => {
  afterEach(async () => {
    await redis.restart();
    await connection.flushall();
  });

  test('requests do no harm, the log says it once, and what was forced is ordered when Redis is back', async () => {
    directory.of('app').held = 5;
    const queue = startupQueue();
    queue.request('app');
    await eventually('it is connected', async () => (await waiting()) === 1);
    await redis.kill();
    for (let n = 0; n < 10; n++) queue.request(`route-${n}`, n === 3 ? 2 : 0);
    await eventually('it is noticed', () => logged.some(({ level }) => level === 40));
    await redis.restart();
    await eventually('it is ordered', async () =>
      (await jobs.getWaiting()).some(({ data }) => data.route === 'route-3' && data.force === 2),
    );
    expect(logged.filter(({ level }) => level === 40)).toHaveLength(1);
    await redis.kill();
  });

  test('closing does not wait for it', async () => {
    const queue = startupQueue();
    await redis.kill();
    queue.request('app', 1);
    const begun = performance.now();
    await queue.close();
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  test('a queue that never reached it closes too', async () => {
    await redis.kill();
    const queue = startupQueue();
    queue.request('app', 1);
    await queue.close();
    queue.request('app', 1);
  });
});
