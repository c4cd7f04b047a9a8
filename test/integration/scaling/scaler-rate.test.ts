import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { Scaler } from '../../../src/scaling/scaler.ts';
import { readStartRate } from '../../../src/scaling/start-pace.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const PATIENCE_MS = 60_000;
let redis: RedisServer;
let connection: BullConnection;
let jobs: Queue<StartupJob>;
let directory: FakeDirectories;
let folder: string;
const closers: (() => Promise<unknown>)[] = [];
const { log } = recordedLog();

beforeAll(async () => {
  redis = await startRedis();
  connection = connectBull(redis.url);
  connection.on('error', () => {});
  jobs = new Queue(QUEUE_NAME, { connection, prefix: QUEUE_PREFIX });
  jobs.on('error', () => {});
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await connection.flushall();
  directory = new FakeDirectories();
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-rate-'));
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  rmSync(folder, { recursive: true });
});

/** Each run of its command is a line with the route. */
async function openScaler(command: string): Promise<void> {
  const scaler = new Scaler({
    redisUrl: redis.url,
    directory,
    command: ['/bin/sh', '-c', `echo "$ROUTE" >> ${folder}/runs; ${command}`],
    rate: 'auto',
    parallel: 4,
    commandTimeoutMs: 10_000,
    environment: { PATH: '/usr/bin:/bin' },
    log,
  });
  closers.push(() => scaler.close());
  await scaler.start();
}

function runs(): string[] {
  try {
    return readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}

async function order(...routes: string[]): Promise<void> {
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  closers.push(() => queue.close());
  for (const route of routes) await queue.order(route);
}

const others = Array.from({ length: 12 }, (_, n) => `app-${n}`);

describe('a scaler whose rate follows the scheduler', () => {
  test('begins all starts of a crowd and of twelve routes with two scalers, and counts no try for a wait', async () => {
    await connection.hset(`${QUEUE_PREFIX}:${QUEUE_NAME}:pace`, 'rate', 4, 'tokens', 0, 'at', Date.now());
    Object.assign(directory.of('crowd'), { held: 240, settings: { maxInstances: 24 } });
    for (const route of others) directory.of(route).held = 1;
    await order('crowd', ...others);
    await openScaler('');
    await openScaler('');
    await eventually('all others have run', () => others.every((route) => runs().includes(route)), PATIENCE_MS);
    await eventually('the crowd has its instances', () => runs().length === 36, PATIENCE_MS);
    await eventually('all jobs are done', async () => (await jobs.getJobCountByTypes('waiting', 'active', 'delayed')) === 0, PATIENCE_MS);
    const done = await jobs.getCompleted();
    expect(done.filter(({ data }) => data.route !== 'crowd').map(({ attemptsMade }) => attemptsMade)).toEqual(others.map(() => 1));
  });

  test('is slowed down by commands that fail at several routes', async () => {
    for (const route of others) directory.of(route).held = 1;
    await order(...others);
    await openScaler('exit 1');
    await eventually('fewer starts begin', async () => (await readStartRate(connection, Date.now())).slowed, PATIENCE_MS);
  });
});
