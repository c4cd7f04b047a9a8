/** What a route's settings ask of the scaler: a pace, a command of its own, patience with starts that fail. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { DEFAULT_ROUTE_SETTINGS } from '../../../src/config/route-settings.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { Scaler, type ScalerOptions } from '../../../src/scaling/scaler.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let connection: BullConnection;
let jobs: Queue<StartupJob>;
let folder: string;
let directory: FakeDirectories;
let queue: StartupQueue;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
  connection = connectBull(redis.url);
  jobs = new Queue<StartupJob>(QUEUE_NAME, { connection, prefix: QUEUE_PREFIX });
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await connection.flushall();
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-scaler-'));
  directory = new FakeDirectories();
  queue = new StartupQueue({ redisUrl: redis.url, directory, log: recordedLog().log });
  closers.push(() => queue.close());
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  rmSync(folder, { recursive: true });
});

/** Writes down each run as "route start-id", then does what the script says. */
async function scaler(script: string, options: Partial<ScalerOptions> = {}): Promise<void> {
  const started = new Scaler({
    redisUrl: redis.url,
    directory,
    command: ['/bin/sh', '-c', `echo "$ROUTE $START_ID" >> ${folder}/runs; ${script}`],
    rate: { count: 1_000, durationMs: 1_000 },
    parallel: 4,
    commandTimeoutMs: 10_000,
    environment: { PATH: '/usr/bin:/bin' },
    log: recordedLog().log,
    ...options,
  });
  closers.push(() => started.close());
  await started.start();
}

function runs(beginning = ''): string[] {
  if (!existsSync(join(folder, 'runs'))) return [];
  const all = readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n');
  return all.filter((run) => run.startsWith(beginning));
}

const idle = async (): Promise<boolean> =>
  Object.values(await jobs.getJobCounts('waiting', 'active', 'delayed')).every((count) => count === 0);

test('of a route with a pace the next start waits, and nobody has to ask for it', async () => {
  directory.of('app').settings = { startInterval: '300ms' };
  directory.of('app').held = 35;
  await scaler('');
  const begun = performance.now();
  queue.request('app');
  await eventually('all have been started', () => runs().length === 4);
  expect(performance.now() - begun).toBeGreaterThan(900);
  await eventually('the queue is empty', idle);
  expect(runs()).toHaveLength(4);
});

test('of a route without settings the node says how many instances there may be', async () => {
  directory.of('app').settings = null;
  directory.of('app').held = 500;
  const queue = new StartupQueue({
    redisUrl: redis.url,
    directory,
    defaults: { ...DEFAULT_ROUTE_SETTINGS, maxInstances: 2 },
    log: recordedLog().log,
  });
  closers.push(() => queue.close());
  await scaler('');
  queue.request('app');
  await eventually('two are started', () => runs().length === 2);
  await eventually('the queue is empty', idle);
  expect(runs()).toHaveLength(2);
});

test('a route whose command runs for the total is never given two commands at once, whoever asks', async () => {
  directory.of('app').settings = { startMode: 'total' };
  directory.of('app').held = 5;
  await scaler(`[ ! -e ${folder}/running ] || echo twice >> ${folder}/twice; touch ${folder}/running; sleep 0.5; rm ${folder}/running`);
  queue.request('app');
  await eventually('it runs', () => runs().length === 1);
  queue.request('app', 1);
  queue.request('app', 1);
  await eventually('all are started', () => directory.of('app').starting.size === 3);
  await eventually('the queue is empty', idle);
  expect(existsSync(join(folder, 'twice'))).toBe(false);
});

describe('a command of the route', () => {
  const own = (script: string): string => JSON.stringify(['/bin/sh', '-c', `echo "own {route} {start_id}" >> ${folder}/runs; ${script}`]);

  test('is run instead of the scaler’s where that is allowed', async () => {
    directory.of('app').settings = { command: own('') };
    directory.of('app').held = 5;
    directory.of('other').held = 5;
    await scaler('', { allowRouteCommands: true });
    queue.request('app');
    queue.request('other');
    await eventually('both have run', () => runs().length === 2);
    expect(runs('own app')).toHaveLength(1);
    expect(runs('other')).toHaveLength(1);
  });

  test('is not run where that is not allowed, nor is the scaler’s, and it is said why', async () => {
    directory.of('app').settings = { command: own('') };
    directory.of('app').held = 5;
    await scaler('');
    queue.request('app');
    await eventually('it is refused', async () => (await jobs.getDelayedCount()) === 1);
    expect((await jobs.getDelayed())[0]?.failedReason).toContain('--allow-route-commands');
    expect(directory.of('app').failures[0]).toContain('--allow-route-commands');
    expect(runs()).toEqual([]);
  });

  test('stops what has left, with its names', async () => {
    const stop = ['/bin/sh', '-c', `echo "{route} {start_id} {instance} {desired} $INSTANCE" >> ${folder}/runs`];
    directory.of('app').settings = { stopCommand: stop };
    directory.of('app').instances = [10, 10];
    await scaler('', { allowRouteCommands: true });
    queue.left('app', { instance: 'i1', startId: 's1' });
    await eventually('it has run', () => runs().length === 1);
    expect(runs()).toEqual(['app s1 i1 2 i1']);
  });
});

describe('starts that keep failing', () => {
  test('are tried one at a time, each after a pause, though nobody is held any more, until one succeeds', async () => {
    directory.of('app').held = 35;
    directory.of('app').pauseMs = 600;
    await scaler(`[ -e ${folder}/repaired ] || exit 1`);
    queue.request('app');
    await eventually('all four have failed', () => directory.of('app').failures.length === 4);
    directory.of('app').held = 0;
    await eventually('one is tried', () => runs().length === 5);
    await eventually('it failed', () => directory.of('app').failures.length === 5);
    writeFileSync(join(folder, 'repaired'), '');
    directory.of('app').pauseMs = 0;
    await eventually('the next one succeeds', () => directory.of('app').starting.size === 1, 20_000);
    await eventually('the queue is empty', idle);
  });
});
