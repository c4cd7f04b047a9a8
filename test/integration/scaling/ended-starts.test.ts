/** How starts end is counted once in the whole cluster, and what failed ones leave behind is cleaned up. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { Directory } from '../../../src/cluster/directory.ts';
import { createRedisDirectory } from '../../../src/cluster/redis/open.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';
import { QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { Scaler, type ScalerOptions } from '../../../src/scaling/scaler.ts';
import { type StartupJob, StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let folder: string;
let directory: ReturnType<typeof createRedisDirectory>;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-ended-'));
  directory = createRedisDirectory({ url: redis.url, log: recordedLog().log });
  await directory.ready(60_000);
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  await directory.close();
  rmSync(folder, { recursive: true });
});

async function scaler(script: string, options: Partial<ScalerOptions> = {}): Promise<Scaler> {
  const started = new Scaler({
    redisUrl: redis.url,
    directory,
    command: ['/bin/sh', '-c', `echo "start $ROUTE $START_ID" >> ${folder}/lines; ${script}`],
    cancelCommand: ['/bin/sh', '-c', `echo "cancel {route} $START_ID" >> ${folder}/lines`],
    rate: { count: 1_000, durationMs: 1_000 },
    parallel: 4,
    commandTimeoutMs: 10_000,
    environment: { PATH: '/usr/bin:/bin' },
    log: recordedLog().log,
    ...options,
  });
  closers.push(() => started.close());
  await started.start();
  return started;
}

async function ask(route: string, settings: RouteRecord): Promise<void> {
  await directory.setRoute(route, settings);
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log: recordedLog().log });
  closers.push(() => queue.close());
  queue.request(route, 1);
}

/** The start ids of those lines. */
function ids(beginning: string): string[] {
  if (!existsSync(join(folder, 'lines'))) return [];
  const lines = readFileSync(join(folder, 'lines'), 'utf8').trim().split('\n');
  return lines.filter((line) => line.startsWith(`${beginning} `)).map((line) => line.split(' ')[2] ?? '');
}

const countOf = (scalers: readonly Scaler[], route: string, outcome: string): number =>
  scalers
    .flatMap((one) => one.stats().starts)
    .filter((count) => count.route === route && count.outcome === outcome)
    .reduce((sum, { count }) => sum + count, 0);

test('a start that does not link in time is counted by one of two scalers, and cancelled once', async () => {
  const scalers = [await scaler(''), await scaler('')];
  await ask('slow.example.com', { startTimeout: '200ms' });
  await eventually('it is cancelled', () => ids('cancel slow.example.com').length > 0, 20_000);
  await eventually('it is counted', () => countOf(scalers, 'slow.example.com', 'not_linked') > 0);
  expect(ids('cancel slow.example.com')).toEqual(ids('start slow.example.com').slice(0, 1));
  expect(countOf(scalers, 'slow.example.com', 'not_linked')).toBe(1);
  expect(countOf(scalers, 'slow.example.com', 'linked')).toBe(0);
});

describe('a startup command that ends after its start was given up', () => {
  const route = 'outlives.example.com';
  const gate = (): string => join(folder, 'gate');

  afterEach(() => directory.setRoute(route, { maxInstances: 0 }));

  /** The command makes what is to be cancelled last, and then ends as `end` says. */
  async function givenUp(end: string): Promise<{ readonly scalers: readonly Scaler[]; readonly startId: string }> {
    const script = `while [ ! -e ${gate()} ]; do sleep 0.05; done; mkdir ${folder}/$START_ID; ${end}`;
    const cancel = `rmdir ${folder}/$START_ID; echo "cancel {route} $START_ID" >> ${folder}/lines`;
    const options = { cancelCommand: ['/bin/sh', '-c', cancel], parallel: 20, commandTimeoutMs: 60_000 };
    const scalers = [await scaler(script, options), await scaler(script, options)];
    await ask(route, { startTimeout: '200ms', maxInstances: 1 });
    await eventually('its start is cancelled', () => ids(`cancel ${route}`).length > 0, 60_000);
    return { scalers, startId: ids(`cancel ${route}`)[0] ?? '' };
  }

  test.each([
    ['in order', 'exit 0'],
    ['with a failure', 'exit 3'],
  ])('is cancelled once more: it ended %s', async (_, end) => {
    const { startId } = await givenUp(end);
    writeFileSync(gate(), '');
    await eventually('it is cancelled again', () => ids(`cancel ${route}`).filter((id) => id === startId).length > 1, 60_000);
    await directory.setRoute(route, { maxInstances: 0 });
    // Others may have begun meanwhile.
    await eventually('nothing is left', () => readdirSync(folder).every((name) => !ids(`start ${route}`).includes(name)), 60_000);
  });

  test('is cancelled by a scaler that leaves meanwhile', async () => {
    const { scalers, startId } = await givenUp('exit 0');
    const closing = scalers.map((one) => one.close());
    writeFileSync(gate(), '');
    await Promise.all(closing);
    const next = await scaler('exit 0');
    await eventually('it is cancelled again', () => ids(`cancel ${route}`).filter((id) => id === startId).length > 1, 60_000);
    await next.close();
  });
});

test('a startup command that ends after its instance has left is not cancelled', async () => {
  const route = 'foreground.example.com';
  const one = await scaler(`while [ ! -e ${folder}/gate ]; do sleep 0.05; done`);
  const member = { id: 'n1', address: 'n1.test:9080' };
  await ask(route, { startTimeout: '1h', maxInstances: 1 });
  await eventually('it began', () => ids(`start ${route}`).length === 1);
  const info = {
    id: 'i1',
    seq: 0,
    concurrency: 1,
    state: 'ready',
    active: 0,
    startId: ids(`start ${route}`)[0] ?? '',
    answered: true,
  } as const;
  await (directory as Directory).beatRoute(route, member, { idle: 1, instances: [{ id: 'i1', info, claim: true }], gone: [] });
  await eventually('it has linked', () => countOf([one], route, 'linked') === 1);
  await directory.setRoute(route, { maxInstances: 0 });
  await (directory as Directory).beatRoute(route, member, { idle: 0, instances: [], gone: ['i1'] });
  writeFileSync(join(folder, 'gate'), '');
  // It waits for the command, and for what follows.
  await one.close();
  const jobs = new Queue<StartupJob>(QUEUE_NAME, { connection: { url: redis.url }, prefix: QUEUE_PREFIX });
  closers.push(() => jobs.close());
  const ordered = await jobs.getJobs();
  expect(ordered.filter((job) => job.name === 'cancel' && job.data.route === route)).toEqual([]);
});

test('a start whose command failed is counted and cancelled, too', async () => {
  const one = await scaler('exit 3');
  await ask('bad.example.com', { minInstances: 1 });
  await eventually('two are cancelled', () => ids('cancel bad.example.com').length > 1, 20_000);
  const began = ids('start bad.example.com');
  expect(began).toEqual(expect.arrayContaining(ids('cancel bad.example.com')));
  expect(new Set(ids('cancel bad.example.com')).size).toBe(ids('cancel bad.example.com').length);
  await eventually('they are counted', () => countOf([one], 'bad.example.com', 'command_failed') > 1);
  await directory.setRoute('bad.example.com', { maxInstances: 0 });
});

test('what a scaler that died has begun is cleaned up by another one', async () => {
  const first = await scaler('');
  await ask('left.example.com', { startTimeout: '1s' });
  await eventually('it began', () => ids('start left.example.com').length === 1);
  await first.close();
  const second = await scaler('');
  await eventually('it is cancelled', () => ids('cancel left.example.com').length === 1, 45_000);
  await eventually('it is counted', () => countOf([first, second], 'left.example.com', 'not_linked') === 1);
});

test('a route with a command of its own is cleaned up by its stop command, where the scaler may run that', async () => {
  const settings = (name: string): RouteRecord => ({
    startTimeout: '200ms',
    command: ['/bin/sh', '-c', `echo "own {route} $START_ID" >> ${folder}/lines`],
    stopCommand: ['/bin/sh', '-c', `echo "${name} {route} $START_ID" >> ${folder}/lines`],
  });
  await scaler('', { allowRouteCommands: true });
  await ask('own.example.com', settings('stop'));
  await eventually('it is cleaned up', () => ids('stop own.example.com').length === 1, 20_000);
  expect(ids('stop own.example.com')).toEqual(ids('own own.example.com').slice(0, 1));
  expect(ids('cancel own.example.com')).toEqual([]);
});

test('an instance that links while the order waits is left alone', async () => {
  const one = await scaler('');
  const member = { id: 'n1', address: 'n1.test:9080' };
  await ask('late.example.com', { startTimeout: '100ms' });
  await eventually('it began', () => ids('start late.example.com').length === 1);
  const startId = ids('start late.example.com')[0] ?? '';
  const info = { id: 'i1', seq: 0, concurrency: 1, state: 'ready', active: 0, startId, answered: true } as const;
  await eventually('it is given up, and comes', async () => {
    if ((await directory.startPlan('late.example.com')).starting > 0) return false;
    await (directory as Directory).beatRoute('late.example.com', member, {
      idle: 1,
      instances: [{ id: 'i1', info, claim: true }],
      gone: [],
    });
    return true;
  });
  await eventually('its start is counted', () => countOf([one], 'late.example.com', 'linked') === 1);
  expect(ids('cancel late.example.com')).toEqual([]);
});
