/** Scalers as processes, over the real directory: what happens when one of them is killed. */
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Cluster, ClusterListener } from '../../../src/cluster/cluster.ts';
import type { Directory } from '../../../src/cluster/directory.ts';
import { createRedisCluster } from '../../../src/cluster/redis/open.ts';
import { createLog } from '../../../src/log.ts';
import { StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const ROUTE = 'app.example.com';
const log = createLog('test', 'silent');

let redis: RedisServer;
let client: Redis;
let cluster: Cluster;
let directory: Directory;
let queue: StartupQueue;
let folder: string;
let scalers: Running[];

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await client.flushall();
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-scalers-'));
  scalers = [];
  ({ cluster, directory } = createRedisCluster({ url: redis.url, self: { id: 'n1', address: '127.0.0.1:1' }, version: '0', log }));
  queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  await cluster.start(asksForStarts(), () => ({ held: 0, active: 0, links: 0 }));
});
afterEach(async () => {
  for (const scaler of scalers) scaler.kill('SIGKILL');
  await queue.close();
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

/** A node that holds clients and has no instances. */
function asksForStarts(): ClusterListener {
  const ignore = (): void => {};
  return {
    onStartNeeded: (route) => queue.request(route),
    onWant: ignore,
    onComing: ignore,
    onHoldRefused: ignore,
    onRematch: ignore,
    onNewest: ignore,
    onRoutes: ignore,
    onConnected: ignore,
  };
}

async function scaler(script: string, ...flags: readonly string[]): Promise<Running> {
  const begin = `echo $START_ID >> ${folder}/begun; ${script}; echo $START_ID >> ${folder}/ended`;
  const running = await startProcess(['scaler', '--redis', redis.url, '--parallel', '4', ...flags, '--', '/bin/sh', '-c', begin]);
  scalers.push(running);
  return running;
}

function lines(file: 'begun' | 'ended' | 'cancelled'): string[] {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

function hold(clients: number): void {
  for (let n = 0; n < clients; n++) cluster.hold(ROUTE, `h${n}`, 0, 100_000);
}

const starting = async (): Promise<number> => (await directory.startPlan(ROUTE)).starting;

describe('ten thousand held clients', () => {
  test.each([
    [30, 30],
    [2_000, 1_000],
  ])('with at most %d instances of ten slots have %d startup commands run, by two scalers', async (maxInstances, expected) => {
    await directory.setRoute(ROUTE, { maxInstances, concurrency: 10, startTimeout: '10m' });
    await Promise.all([scaler(':'), scaler(':')]);
    hold(10_000);
    await eventually('all are begun', () => lines('ended').length >= expected, 60_000);
    expect(await starting()).toBe(expected);
    expect(new Set(lines('ended')).size).toBe(expected);
    expect(lines('begun')).toHaveLength(expected);
  });
});

describe('a killed scaler', () => {
  test('has its commands run again by another one, under the same start ids, and starts nothing twice', async () => {
    await directory.setRoute(ROUTE, { concurrency: 10 });
    const waitsFor = join(folder, 'go');
    const killed = await scaler(
      `while [ ! -e ${waitsFor} ] && kill -0 $PPID 2> /dev/null && [ $PPID != 1 ]; do sleep 0.05; done; [ -e ${waitsFor} ] || exit 1`,
    );
    hold(35);
    await eventually('it runs its commands', () => lines('begun').length === 4);
    killed.kill('SIGKILL');
    await killed.exit;
    await scaler(':');
    appendFileSync(waitsFor, '');
    await eventually('another one has run them', () => new Set(lines('ended')).size === 4, 30_000);
    expect(await starting()).toBe(4);
    expect(new Set(lines('begun')).size).toBe(4);
  });

  test('that is asked to leave ends its commands first', async () => {
    await directory.setRoute(ROUTE, { concurrency: 10 });
    const leaving = await scaler('sleep 1');
    hold(35);
    await eventually('it runs its commands', () => lines('begun').length === 4);
    expect(await leaving.stop()).toEqual({ code: 0, signal: null });
    expect(lines('ended')).toHaveLength(4);
  });
});

describe('starts that are given up while their startup commands run', () => {
  test('are cancelled again when these end, by scalers that restart one after the other, so that nothing is left', async () => {
    await directory.setRoute(ROUTE, { concurrency: 10, startTimeout: '500ms', maxInstances: 2 });
    const slow = `while [ ! -e ${folder}/go ]; do sleep 0.05; done; mkdir ${folder}/left-$START_ID`;
    const cancel = ['/bin/sh', '-c', `rmdir ${folder}/left-$START_ID 2>/dev/null; echo $START_ID >> ${folder}/cancelled`];
    const flags = ['--cancel-command', JSON.stringify(cancel)];
    const first = await scaler(slow, ...flags);
    hold(20);
    await eventually('two are cancelled', () => new Set(lines('cancelled')).size >= 2, 60_000);
    const early = [...new Set(lines('cancelled'))];
    await directory.setRoute(ROUTE, { maxInstances: 0 });
    const leaving = first.stop();
    appendFileSync(join(folder, 'go'), '');
    await leaving;
    await scaler(slow, ...flags);
    const times = (id: string): number => lines('cancelled').filter((line) => line === id).length;
    await eventually('they are cancelled again', () => early.every((id) => times(id) === 2), 60_000);
    await eventually('nothing is left', () => !readdirSync(folder).some((name) => name.startsWith('left-')), 60_000);
    expect(new Set(lines('ended'))).toEqual(new Set(lines('begun')));
  });
});
