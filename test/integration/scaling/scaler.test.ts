import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Queue, Worker } from 'bullmq';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { Scaler, type ScalerOptions } from '../../../src/scaling/scaler.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { type LogLine, recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let connection: BullConnection;
let jobs: Queue<StartupJob>;
let folder: string;
let directory: FakeDirectories;
let logged: LogLine[];
let queue: StartupQueue;
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
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-scaler-'));
  directory = new FakeDirectories();
  const { log, lines } = recordedLog();
  logged = lines;
  queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  closers.push(() => queue.close());
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  rmSync(folder, { recursive: true });
});

/** Writes down each run as "route start-id", then does what the script says. */
async function scaler(script: string, options: Partial<ScalerOptions> = {}): Promise<Scaler> {
  const { log, lines } = recordedLog();
  logged = lines;
  const started = new Scaler({
    redisUrl: redis.url,
    directory,
    command: ['/bin/sh', '-c', `echo "$ROUTE $START_ID" >> ${folder}/runs; ${script}`],
    rate: { count: 1_000, durationMs: 1_000 },
    parallel: 4,
    commandTimeoutMs: 10_000,
    environment: { PATH: '/usr/bin:/bin' },
    log,
    ...options,
  });
  closers.push(() => started.close());
  await started.start();
  return started;
}

function runs(route?: string): string[] {
  const all = (() => {
    try {
      return readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n');
    } catch {
      return [];
    }
  })();
  return route === undefined ? all : all.filter((run) => run.startsWith(`${route} `));
}

const idle = async (): Promise<boolean> =>
  Object.values(await jobs.getJobCounts('waiting', 'active', 'delayed')).every((count) => count === 0);

/** Asks as nodes do: again and again while clients wait. */
function keepAsking(...routes: string[]): void {
  const timer = setInterval(() => {
    for (const route of routes) queue.request(route);
  }, 50);
  closers.push(async () => clearInterval(timer));
}

describe('a burst of clients', () => {
  test('of ten thousand starts as many instances as are needed and not one more, with two scalers', async () => {
    directory.of('app').settings = { maxInstances: 60 };
    await scaler('');
    await scaler('');
    for (let held = 100; held <= 10_000; held += 900) {
      directory.of('app').held = held;
      queue.request('app');
      await delay(30);
    }
    keepAsking('app');
    await eventually('sixty have been started', () => runs().length >= 60, 20_000);
    await eventually('the queue is empty', idle);
    expect(new Set(runs()).size).toBe(60);
    expect(runs()).toHaveLength(60);
    expect(directory.of('app').entered).toHaveLength(60);
  });

  test('for twenty routes at once starts for each what it needs', async () => {
    const routes = Array.from({ length: 20 }, (_, n) => `app-${n}`);
    await scaler('');
    await scaler('');
    for (const [n, route] of routes.entries()) {
      directory.of(route).held = 10 * (n % 5) + 1;
      queue.request(route);
    }
    keepAsking(...routes);
    await eventually('all have been started', () => runs().length >= 60, 20_000);
    await eventually('the queue is empty', idle);
    for (const [n, route] of routes.entries()) expect([route, runs(route).length]).toEqual([route, (n % 5) + 1]);
  });
});

describe('a command that fails', () => {
  test('is run again, later and later, until it succeeds, with a start of its own each time', async () => {
    directory.of('app').held = 5;
    const counted = await scaler(`[ $(wc -l < ${folder}/runs) -ge 3 ] || { echo "no such image"; exit 7; }`);
    const begun = performance.now();
    keepAsking('app');
    await eventually('it has succeeded', () => counted.stats().commands.some(({ result }) => result === 'ok'));
    // Waits of at least half of 1 s and half of 2 s, though everybody asked all the time.
    expect(performance.now() - begun).toBeGreaterThan(1_500);
    await eventually('the queue is empty', idle);
    expect(new Set(runs()).size).toBe(3);
    expect([...directory.of('app').starting]).toEqual([runs()[2]?.split(' ')[1]]);
    expect(counted.stats().commands).toEqual([
      { route: 'app', result: 'failed', count: 2 },
      { route: 'app', result: 'ok', count: 1 },
    ]);
    expect(logged.filter(({ level, exitCode }) => level === 40 && exitCode === 7)).toMatchObject([
      { route: 'app', output: 'no such image', msg: expect.stringContaining('exited with 7') },
      { route: 'app' },
    ]);
  });

  test('has clients that came meanwhile served when it is run again', async () => {
    directory.of('app').held = 5;
    await scaler(`[ $(wc -l < ${folder}/runs) -ge 2 ] || exit 1`);
    queue.request('app');
    await eventually('it waits', async () => (await jobs.getDelayedCount()) === 1);
    directory.of('app').held = 45;
    queue.request('app');
    await eventually('all are started', () => directory.of('app').starting.size === 5);
    await eventually('the queue is empty', idle);
    expect(runs()).toHaveLength(6);
  });

  test('is given up after five times, and begun anew while clients still ask', async () => {
    directory.of('app').held = 5;
    await scaler('exit 1');
    queue.request('app');
    await eventually('it has failed for good', async () => (await jobs.getFailedCount()) === 1, 30_000);
    expect(runs()).toHaveLength(5);
    expect((await jobs.getFailed())[0]?.failedReason).toContain('exited with 1');
    expect(directory.of('app').starting.size).toBe(0);
    queue.request('app');
    await eventually('it is run again', () => runs().length === 6);
  });

  test('that does not exist is named', async () => {
    directory.of('app').held = 5;
    await scaler('', { command: ['no-such-program', '{route}'] });
    queue.request('app');
    await eventually('it waits', async () => (await jobs.getDelayedCount()) === 1);
    expect((await jobs.getDelayed())[0]?.failedReason).toContain('"no-such-program" was not found');
  });
});

describe('a command that hangs', () => {
  test('keeps no other route waiting, though there are more such routes than places', async () => {
    const hanging = Array.from({ length: 6 }, (_, n) => `hanging-${n}`);
    for (const route of hanging) directory.of(route).held = 30;
    directory.of('good').held = 30;
    await scaler('case $ROUTE in hanging*) sleep 30;; esac', { parallel: 2, commandTimeoutMs: 8_000 });
    keepAsking(...hanging);
    await eventually('the places are taken', () => runs().length >= 2);
    const begun = performance.now();
    queue.request('good');
    await eventually('the other route is served', () => runs('good').length === 3);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test('is stopped after its time, counted, and tried again', async () => {
    directory.of('app').held = 5;
    const counted = await scaler('sleep 30', { commandTimeoutMs: 300 });
    queue.request('app');
    await eventually('it was tried twice', () => counted.stats().commands[0]?.count === 2);
    expect(counted.stats().commands[0]).toMatchObject({ route: 'app', result: 'timeout' });
    expect(directory.of('app').starting.size).toBeLessThanOrEqual(1);
  });
});

test('jobs begin no faster than the rate, over all scalers', async () => {
  const rate = { count: 2, durationMs: 500 };
  await scaler('', { rate });
  await scaler('', { rate });
  const begun = performance.now();
  for (let n = 0; n < 7; n++) {
    directory.of(`app-${n}`).held = 1;
    queue.request(`app-${n}`);
  }
  await eventually('all have run', () => runs().length === 7);
  expect(performance.now() - begun).toBeGreaterThan(1_400);
});

test('a route with a minimum has its instances without traffic, and gets a lost one back', async () => {
  directory.of('app').settings = { minInstances: 2 };
  directory.of('none').settings = {};
  directory.of('bad').settings = { minInstances: 'many' };
  await scaler('');
  await eventually('both are started', () => runs('app').length === 2);
  for (const id of [...directory.of('app').starting]) directory.of('app').link(id, 0);
  directory.of('app').instances.pop();
  await eventually('the lost one is replaced', () => runs('app').length === 3);
  expect(runs()).toHaveLength(3);
});

test('instances that are asked for are started beyond the need', async () => {
  directory.of('app').instances = [0];
  await scaler('');
  queue.request('app', 2);
  await eventually('two are started', () => runs().length === 2);
});

describe('closing', () => {
  test('waits for commands that run, and takes no more jobs', async () => {
    directory.of('app').held = 5;
    directory.of('late').held = 5;
    const closing = await scaler(`sleep 1; echo ended >> ${folder}/ended`);
    queue.request('app');
    await eventually('it runs', () => runs().length === 1);
    const closed = closing.close();
    await delay(100);
    queue.request('late');
    await closed;
    expect(readFileSync(join(folder, 'ended'), 'utf8')).toBe('ended\n');
    expect(runs()).toHaveLength(1);
    expect(await jobs.getCompletedCount()).toBe(1);
    expect((await jobs.getWaiting()).map(({ data }) => data.route)).toEqual(['late']);
  });

  test('does not wait for a Redis that is gone', async () => {
    directory.of('app').held = 5;
    const closing = await scaler('sleep 1');
    queue.request('app');
    await eventually('it runs', () => runs().length === 1);
    await redis.kill();
    const begun = performance.now();
    await closing.close();
    expect(performance.now() - begun).toBeLessThan(6_000);
    await redis.restart();
  });

  test('does not wait for a Redis that does not answer', async () => {
    directory.of('app').held = 5;
    const closing = await scaler('sleep 1');
    queue.request('app');
    await eventually('it runs', () => runs().length === 1);
    await redis.pause();
    const begun = performance.now();
    await closing.close();
    expect(performance.now() - begun).toBeLessThan(8_000);
    await redis.resume();
  });
});

describe('a scaler that dies', () => {
  test('has its job done by another one, under the same start id', async () => {
    directory.of('app').held = 15;
    for (const id of ['seen', 'unseen']) directory.of('app').starting.add(id);
    const dying = new Worker<StartupJob>(QUEUE_NAME, undefined, { connection, prefix: QUEUE_PREFIX, lockDuration: 500 });
    queue.request('other');
    await jobs.add('start', { route: 'app', force: 0, startIds: [] }, { deduplication: { id: 'app', keepLastIfActive: true } });
    const job = await dying.getNextJob('token');
    await job?.updateData({ route: 'app', force: 0, startIds: ['unseen'] });
    await dying.close(true);

    await scaler('');
    await eventually('it is taken over', () => runs().length === 1, 15_000);
    expect(runs()).toEqual(['app unseen']);
    await eventually('the queue is empty', idle);
    expect([...directory.of('app').starting].sort()).toEqual(['seen', 'unseen']);
  });

  test('is not mistaken for one that Redis has only forgotten', async () => {
    directory.of('app').held = 5;
    await scaler('sleep 8');
    queue.request('app');
    await eventually('it runs', () => runs().length === 1);
    const [active] = await jobs.getActive();
    // What a Redis that stood still for long enough does: the lock has expired.
    const expire = setInterval(() => void connection.del(`${QUEUE_PREFIX}:${QUEUE_NAME}:${active?.id}:lock`), 50);
    await eventually('the job is taken for lost', () => logged.some(({ msg }) => String(msg).includes('was interrupted')), 15_000).finally(
      () => clearInterval(expire),
    );
    await eventually('the command has ended', () => logged.some(({ msg }) => msg === 'startup command finished'), 15_000);
    await eventually('the queue is empty', idle, 20_000);
    expect(runs()).toHaveLength(1);
  });
});

describe('Redis', () => {
  test('restarted empty loses no more than what it had: who asks again is served', async () => {
    await scaler('');
    await eventually('it takes jobs', idle);
    await redis.kill();
    await redis.restart();
    directory.of('app').held = 25;
    keepAsking('app');
    await eventually('they are started', () => runs().length === 3);
    await eventually('the queue is empty', idle);
    expect(runs()).toHaveLength(3);
    // The first may ask before the connection is there again.
    const warnings = logged.filter(({ level }) => Number(level) >= 40).map(({ msg }) => String(msg));
    expect(warnings.slice(1)).toEqual([]);
    for (const warning of warnings) expect(warning).toContain('can not be ordered');
  });

  test('that stood still goes on where it was', async () => {
    directory.of('app').held = 25;
    await scaler('');
    await eventually('it takes jobs', idle);
    await redis.pause();
    keepAsking('app');
    await delay(3_000);
    await redis.resume();
    await eventually('they are started', () => runs().length === 3);
    await eventually('the queue is empty', idle);
    expect(runs()).toHaveLength(3);
  });

  test('emptied while a command runs does not have it run twice', async () => {
    directory.of('app').held = 5;
    await scaler('sleep 1');
    keepAsking('app');
    await eventually('it runs', () => runs().length === 1);
    await connection.flushall();
    await eventually('it has ended', () => logged.some(({ msg }) => msg === 'startup command finished'));
    directory.of('app').held = 15;
    await eventually('the next ones are started', () => runs().length === 2);
    await eventually('the queue is empty', idle);
    expect(runs()).toHaveLength(2);
  });
});
