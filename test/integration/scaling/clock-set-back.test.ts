/** What BullMQ's keys are after Redis' clock was set back by an hour: they live an hour longer than they were meant to. */
import { afterAll, beforeAll, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { Scaler } from '../../../src/scaling/scaler.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const HOUR_MS = 3_600_000;
const RATE = { count: 1, durationMs: 1_000 };

let redis: RedisServer;
let connection: BullConnection;

beforeAll(async () => {
  redis = await startRedis();
  connection = connectBull(redis.url);
  connection.on('error', () => {});
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});

const key = (part: string): string => `${QUEUE_PREFIX}:${QUEUE_NAME}:${part}`;

test("starts go on when the limiter's key and the stalled check's live an hour longer, since Redis' clock was set back", async () => {
  const directory = new FakeDirectories();
  const { log } = recordedLog();
  const jobs = new Queue<StartupJob>(QUEUE_NAME, { connection, prefix: QUEUE_PREFIX });
  jobs.on('error', () => {});
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  const scaler = new Scaler({
    ...{ redisUrl: redis.url, directory, log, rate: RATE, parallel: 4, commandTimeoutMs: 10_000 },
    command: ['/bin/true'],
    environment: { PATH: '/usr/bin:/bin' },
  });
  try {
    await scaler.start();
    // The whole rate is used up for an hour to come, and nobody looks for jobs whose scaler died.
    await connection.set(key('limiter'), RATE.count, 'PX', HOUR_MS);
    await connection.set(key('stalled-check'), Date.now(), 'PX', HOUR_MS);
    directory.of('app').held = 1;
    queue.request('app');
    await eventually('the command has run', () => scaler.stats().commands.some(({ result }) => result === 'ok'), 20_000);
    await eventually('the stalled check is due again', async () => (await connection.pttl(key('stalled-check'))) < HOUR_MS / 2, 20_000);
  } finally {
    await Promise.all([scaler.close(), queue.close(), jobs.close()]);
  }
});

test('jobs that wait for a moment an hour ago or weeks ahead are dropped, and the route is served by the next one', async () => {
  await connection.flushall();
  const directory = new FakeDirectories();
  const { log } = recordedLog();
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  const scaler = new Scaler({
    ...{ redisUrl: redis.url, directory, log, rate: { count: 100, durationMs: 1_000 }, parallel: 4, commandTimeoutMs: 10_000 },
    command: ['/bin/true'],
    environment: { PATH: '/usr/bin:/bin' },
  });
  try {
    await connection.zadd(key('delayed'), -1, 'long ago', (Date.now() + 2 ** 33) * 0x1000, 'in months');
    await scaler.start();
    await eventually('they are gone', async () => (await connection.zcard(key('delayed'))) === 0, 20_000);
    directory.of('app').held = 1;
    queue.request('app');
    await eventually('the command has run', () => scaler.stats().commands.some(({ result }) => result === 'ok'), 20_000);
  } finally {
    await Promise.all([scaler.close(), queue.close()]);
  }
});
