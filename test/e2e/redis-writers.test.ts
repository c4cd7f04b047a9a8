/**
 * Whoever can write into Redis can write anything there. Over real processes: nobody ends, every route is served, and everybody who looks
 * gets an answer.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startLinker, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, runCommand } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { GARBAGE, ROUTE } from '../support/redis-garbage.ts';

const OTHER = 'other.example.com';
const ANSWER_MS_MAX = 5_000;
const HEALED_MS_MAX = 15_000;

let redis: RedisServer;
let client: Redis;
let nodes: ClusterNode[];
let scaler: Running;
let linkers: Running[];
let ledger: Ledger;
const environment = (): Record<string, string> => ({ PULLPROXY_REDIS: redis.url });

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  ledger = new Ledger();
  await setRoute(redis.url, ROUTE, 'maxInstances=1');
  await setRoute(redis.url, OTHER, 'maxInstances=1');
  nodes = await Promise.all(['n1', 'n2'].map((id) => startNode(redis.url, ['--id', id])));
  const proxies = nodes.map(({ backend }) => backend);
  linkers = await Promise.all(
    [ROUTE, OTHER].map((route) => startLinker({ proxies, route, concurrency: 1, app: COUNTING_APP }, ledger.env(1))),
  );
  scaler = await startScaler(redis.url, { proxies, concurrency: 1, app: COUNTING_APP }, ledger);
}, 60_000);
afterAll(async () => {
  client?.disconnect();
  for (const one of [scaler, ...(linkers ?? []), ...(nodes ?? [])]) one?.kill('SIGKILL');
  await redis?.stop();
  ledger?.remove();
});

/** One slot, and clients at both nodes in turn: each of them needs Redis to get it. */
async function isServed(route: string): Promise<void> {
  for (const { url } of nodes) {
    const answer = await Promise.race([ask(url, { host: route }), delay(ANSWER_MS_MAX, null, { ref: false })]);
    expect([route, url, answer?.status]).toEqual([route, url, 200]);
  }
}

/** Everybody is there, and everybody who looks gets an answer. */
async function isWell(): Promise<void> {
  await Promise.all([ROUTE, OTHER].map(isServed));
  for (const node of nodes) {
    const seen = await state(node);
    expect(seen.routes.map(({ name }) => name)).toEqual(expect.arrayContaining([ROUTE, OTHER]));
    expect(seen.nodes.map(({ id }) => id)).toEqual(expect.arrayContaining(['n1', 'n2']));
    expect((await fetch(`${node.admin}/metrics`)).status).toBe(200);
    expect((await fetch(`${node.admin}/api/v1/jobs`)).status).toBe(200);
  }
  for (const { pid } of [...nodes, scaler, ...linkers]) expect(process.kill(pid, 0)).toBe(true);
}

/** All nodes have spoken to Redis again. */
async function beat(): Promise<void> {
  const [seconds, micros] = await client.time();
  const began = Number(seconds) * 1_000 + Number(micros) / 1_000;
  await eventually('a beat', async () => {
    const beats = await client.zmscore('pp:nodes', 'n1', 'n2').catch(() => []);
    return beats.length === 2 && beats.every((at) => Number(at) >= began);
  });
}

async function looksFromOutside(): Promise<void> {
  const [status, inspect, list] = await Promise.all([
    runCommand(['status', '--json'], { env: environment() }),
    runCommand(['inspect', '--json'], { env: environment() }),
    runCommand(['route', 'list'], { env: environment() }),
  ]);
  expect([status.code, status.stderr]).toEqual([0, '']);
  expect((JSON.parse(status.stdout) as { routes: { name: string }[] }).routes.map(({ name }) => name)).toContain(ROUTE);
  expect([[0, 1].includes(inspect.code ?? -1), inspect.stderr]).toEqual([true, '']);
  expect(JSON.parse(inspect.stdout)).toHaveProperty('findings');
  expect(list.code).toBe(0);
}

describe.each(GARBAGE)('%s', (_, rows) => {
  test.each(rows)(
    '%s',
    async (_name, writes) => {
      for (const write of writes) {
        await write(client);
        await eventually('served', async () => isServed(ROUTE).then(() => true), HEALED_MS_MAX);
      }
      await beat();
      await eventually('all is well', async () => isWell().then(() => true), HEALED_MS_MAX);
    },
    60_000,
  );

  test('nobody who looks from outside is kept from it', () => looksFromOutside(), 60_000);
});

test('instances are still started, and what could not be used is shown', async () => {
  const before = ledger.lines(ledger.starts).length;
  expect((await fetch(`${nodes[0]?.admin}/api/v1/routes/${ROUTE}/start`, { method: 'POST' })).status).toBe(202);
  await eventually('started', () => ledger.lines(ledger.starts).length > before, 30_000);
  const { stdout } = await runCommand(['inspect'], { env: environment() });
  expect(stdout).toContain('moved aside');
  const { stdout: status } = await runCommand(['status'], { env: environment() });
  expect(status).toMatch(/could not be used/);
  expect(ledger.lines(ledger.violations)).toEqual([]);
}, 60_000);
