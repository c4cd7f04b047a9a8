/** What people see of startup jobs, over a real Redis and real scalers. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { connectBull } from '../../../src/scaling/bull-connection.ts';
import { Scaler } from '../../../src/scaling/scaler.ts';
import { RUN_OUTPUT_CHARS_MAX, RUNS_KEPT_MAX, type StartupJobFacts } from '../../../src/scaling/startup-job.ts';
import { StartupJobReader } from '../../../src/scaling/startup-job-reader.ts';
import { StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let directory: FakeDirectories;
let queue: StartupQueue;
let reader: StartupJobReader;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  const connection = connectBull(redis.url);
  await connection.flushall();
  connection.disconnect();
  directory = new FakeDirectories();
  queue = new StartupQueue({ redisUrl: redis.url, directory, log: recordedLog().log });
  reader = new StartupJobReader(redis.url);
  closers.push(
    () => queue.close(),
    () => reader.close(),
  );
});
afterEach(() => Promise.all(closers.splice(0).map((close) => close())));

async function scaler(script: string): Promise<Scaler> {
  const started = new Scaler({
    redisUrl: redis.url,
    directory,
    command: ['/bin/sh', '-c', script],
    rate: { count: 1_000, durationMs: 1_000 },
    parallel: 4,
    commandTimeoutMs: 10_000,
    environment: { PATH: '/usr/bin:/bin' },
    log: recordedLog().log,
  });
  closers.push(() => started.close());
  await started.start();
  return started;
}

/** The first job for which `check` holds. */
async function job(check: (job: StartupJobFacts) => boolean): Promise<StartupJobFacts> {
  let found: StartupJobFacts | undefined;
  await eventually('the job is seen', async () => {
    found = (await reader.read(50))?.jobs.find(check);
    return found !== undefined;
  });
  return found as StartupJobFacts;
}

describe('startup jobs as people see them', () => {
  test('a job that fails shows each run with exit code and output, and when it is tried again', async () => {
    directory.of('app').held = 1;
    await scaler('echo pulling; echo image not found >&2; exit 125');
    queue.request('app');
    const failing = await job(({ state }) => state === 'delayed');
    expect(failing).toMatchObject({
      route: 'app',
      attempts: 1,
      attemptsMax: 5,
      forced: 0,
      endedAt: null,
      failure: 'startup command "/bin/sh" exited with 125',
      runs: [{ startId: expect.stringMatching(/^[a-z0-9]+$/), count: 1, exitCode: 125, output: 'pulling\nimage not found' }],
    });
    expect(failing.nextTryAt ?? 0).toBeGreaterThan(failing.runs[0]?.endedAt ?? 0);
    expect(failing.runs[0]?.failure).toBe('startup command "/bin/sh" exited with 125');
    expect((await job(({ attempts }) => attempts === 2)).runs).toHaveLength(2);
  });

  test('a job that has done its work is over, with the output of its runs', async () => {
    directory.of('app').held = 25;
    await scaler('echo started $START_ID');
    queue.request('app');
    const done = await job(({ state }) => state === 'completed');
    expect(done).toMatchObject({ attempts: 1, failure: null, nextTryAt: null, endedAt: expect.any(Number) });
    expect(done.runs.map(({ exitCode, failure }) => [exitCode, failure])).toEqual([
      [0, null],
      [0, null],
      [0, null],
    ]);
    for (const { startId, output } of done.runs) expect(output).toBe(`started ${startId}`);
  });

  test('of runs and output only so much is kept', async () => {
    directory.of('app').settings = { maxInstances: 20 };
    directory.of('app').held = 1_000;
    await scaler('yes line | head -n 5000; echo $START_ID');
    queue.request('app');
    const done = await job(({ state }) => state === 'completed');
    expect(done.runs).toHaveLength(RUNS_KEPT_MAX);
    for (const { startId, output } of done.runs) {
      expect(output.endsWith(startId)).toBe(true);
      expect(output.length).toBeLessThanOrEqual(RUN_OUTPUT_CHARS_MAX);
    }
  });

  test('says what waits while no scaler is there, and that none is', async () => {
    directory.of('app').held = 1;
    queue.request('app');
    const waiting = await job(({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ route: 'app', attempts: 0, beganAt: null, runs: [] });
    expect((await reader.read(50))?.scalers).toBe(0);
  });

  test('counts scalers', async () => {
    await scaler('');
    await scaler('');
    await eventually('two', async () => (await scalersConnected()) === 2);
  });

  test('a Redis that does not answer is no list', async () => {
    expect(await reader.read(50)).toMatchObject({ jobs: [], scalers: 0, rate: { perSecond: 50, waiting: 0 } });
    await redis.pause();
    expect(await reader.read(50)).toBeNull();
    await redis.resume();
    await eventually('it answers again', async () => (await reader.read(50)) !== null);
  });
});

/** A reader remembers the count for a while; a new one asks. */
async function scalersConnected(): Promise<number | null> {
  const fresh = new StartupJobReader(redis.url);
  const answer = await fresh.read(1);
  await fresh.close();
  return answer?.scalers ?? null;
}
