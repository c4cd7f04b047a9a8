/** The fair queue of three real nodes while one of them is killed, while Redis is emptied or restarted, and while the route's rules change. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { BEAT_MS, DEAD_AFTER_MS, RECOVERY_MS } from '../../src/cluster/limits.ts';
import { type Instance, pull } from '../../src/pull/pull.ts';
import { type ApplicationResponse, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, SECRET, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { type RedisGroup, type RedisProcess, startSentinels } from '../support/redis-processes.ts';

/** Long enough that a slot can be moved to another node meanwhile, also on a busy machine. */
const REQUEST_MS = 40;
/** A wave of clients is younger than the one before by more than ages may be compared wrongly between nodes. */
const WAVE_GAP_MS = 200;
/** From a node's last beat until the others have taken its entries off. Half of it is for a busy machine. */
const GONE_WITHIN_MS = 2 * (DEAD_AFTER_MS + BEAT_MS);
/** From the answer of a Redis that is empty until all is there again. Most of it is for a busy machine. */
const BACK_WITHIN_MS = 4 * RECOVERY_MS;

const PLAIN = { holdTimeout: '5m', coldHoldTimeout: '5m' };
const FAIR = { ...PLAIN, fairBy: 'header:X-Tenant', trustClients: true };
const URGENT = { ...FAIR, priority: 'header:X-Urgency' };

let redis: RedisServer;
let client: Redis;
let nodes: Record<'a' | 'b' | 'c', ClusterNode>;
let app: Instance | null = null;
let tests = 0;
let host = '';

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  client.on('error', () => {});
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id])));
  nodes = { a, b, c } as typeof nodes;
});

beforeEach(() => {
  host = `app${++tests}.test`;
});

afterEach(async () => {
  await app?.leave();
  app = null;
});

afterAll(async () => {
  client?.disconnect();
  await Promise.all(Object.values(nodes ?? {}).map((node) => node.stop()));
  await redis?.stop();
});

async function set(settings: Readonly<Record<string, unknown>>): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${nodes.a.admin}/api/v1/routes/${host}`, { method: 'PUT', body: JSON.stringify(settings), headers });
  expect(response.status).toBe(200);
}

interface Tenant {
  readonly name: string;
  /** Clients of each wave, by node. */
  readonly at: Partial<Record<keyof typeof nodes, number>>;
  readonly urgency?: number;
  readonly team?: string;
}

const key = (part: string): string => `pp:{${host}}:${part}`;

/** What Redis keeps of those who are held: nothing of it is left when nobody is. */
const QUEUE_PARTS = ['held', 'holders', 'promised', 'asks', 'lined', 'lines', 'ranked'];

async function held(): Promise<number> {
  return client.zcard(key('held'));
}

/** Wave after wave of clients is held; `answers` as they come, and those of node c apart. */
async function hold(tenants: readonly Tenant[], waves: number): Promise<Record<keyof typeof nodes, Promise<ApplicationResponse[]>>> {
  const answers: Record<keyof typeof nodes, Promise<ApplicationResponse[]>[]> = { a: [], b: [], c: [] };
  let expected = await held();
  for (let wave = 0; wave < waves; wave++) {
    const began = performance.now();
    for (const { name, at, urgency = 3, team = name } of tenants) {
      for (const node of ['a', 'b', 'c'] as const) {
        const count = at[node] ?? 0;
        expected += count;
        const headers = { 'x-tenant': name, 'x-urgency': String(urgency), 'x-team': team };
        const path = `/${name}/${node}/${wave}`;
        answers[node].push(
          crowd(
            count,
            () => nodes[node].url,
            () => ({ host, path, headers }),
          ),
        );
      }
    }
    await eventually('the wave is held', async () => (await held()) === expected && performance.now() - began > WAVE_GAP_MS);
  }
  const flat = async (all: Promise<ApplicationResponse[]>[]): Promise<ApplicationResponse[]> => (await Promise.all(all)).flat();
  return { a: flat(answers.a), b: flat(answers.b), c: flat(answers.c) };
}

interface Served {
  readonly tenant: string;
  readonly node: string;
  readonly wave: number;
}

/** An application with one slot, which is linked to node a: it notes whom it serves. */
async function serve(): Promise<Served[]> {
  const served: Served[] = [];
  app = await pull(
    (request: IncomingMessage, response: ServerResponse) => {
      const [, tenant = '', node = '', wave = ''] = (request.url ?? '').split('/');
      served.push({ tenant, node, wave: Number(wave) });
      setTimeout(() => response.end('served'), REQUEST_MS);
    },
    { proxy: nodes.a.backend.replace('tcp://', ''), route: host, concurrency: 1, secret: SECRET },
  );
  return served;
}

/** Each node serves the oldest client of each tenant first. */
function expectOldestFirst(served: readonly Served[]): void {
  const waves: Record<string, number[]> = {};
  for (const { tenant, node, wave } of served) waves[`${tenant} at ${node}`] = [...(waves[`${tenant} at ${node}`] ?? []), wave];
  expect(waves).toEqual(Object.fromEntries(Object.entries(waves).map(([who, all]) => [who, all.toSorted((x, y) => x - y)])));
}

/** The place of the tenant's last client among all that were served. */
const lastOf = (served: readonly Served[], tenant: string): number => served.findLastIndex((one) => one.tenant === tenant) + 1;

interface Queue {
  /** Class and value of those in which somebody waits. */
  readonly lines: readonly string[];
  /** Clients of each line, in their order: which nodes hold them. */
  readonly order: Readonly<Record<string, readonly string[]>>;
  /** By how much the service of a client moves its line. */
  readonly units: readonly number[];
}

async function queue(): Promise<Queue> {
  const [lines, lined, asks] = await Promise.all([
    client.zrange(key('lines'), '-inf', '(800000000000', 'BYSCORE'),
    client.zrange(key('lined'), 0, '-1'),
    client.hvals(key('asks')),
  ]);
  const order: Record<string, string[]> = {};
  for (const one of lined) {
    const [line = '', , hold = ''] = one.split(' ');
    order[line] = [...(order[line] ?? []), hold];
  }
  return { lines: lines.toSorted(), order, units: [...new Set(asks.map((ask) => Number(ask.split(' ')[2])))].toSorted((x, y) => x - y) };
}

async function nothingIsLeft(): Promise<void> {
  await eventually('nothing of the queue is left', async () => (await client.exists(...QUEUE_PARTS.map(key))) === 0);
}

describe.each([
  ['emptied', async (): Promise<void> => void (await client.flushall())],
  [
    'killed, and started empty',
    async (): Promise<void> => {
      await redis.kill();
      await redis.restart();
    },
  ],
])('Redis is %s', (_how, fail) => {
  test('while clients are held: nobody is lost, and class, share and age count as before', async () => {
    await set(URGENT);
    const answers = await hold(
      [
        { name: 'loud', at: { a: 5, b: 3, c: 2 } },
        { name: 'quiet', at: { b: 1, c: 1 } },
        { name: 'urgent', at: { c: 1 }, urgency: 1 },
      ],
      3,
    );
    const before = await queue();
    expect(before.lines).toHaveLength(3);
    await fail();
    await eventually('all are known again', async () => (await held()) === 39 && (await client.zcard(key('lined'))) === 39, BACK_WITHIN_MS);
    const after = await queue();
    expect(after.lines).toEqual(before.lines);
    // The nodes' waves are as they were; clients of one wave have the same age.
    const sizes = ({ order }: Queue): Record<string, number> =>
      Object.fromEntries(Object.entries(order).map(([line, { length }]) => [line, length]));
    expect(sizes(after)).toEqual(sizes(before));
    const wavesOf = ({ order }: Queue): string[][] =>
      Object.entries(order).flatMap(([line, holds]) => {
        const wave = holds.length / 3;
        return [0, 1, 2].map((i) => [line, ...holds.slice(i * wave, (i + 1) * wave).toSorted()]);
      });
    expect(wavesOf(after).toSorted()).toEqual(wavesOf(before).toSorted());

    const served = await serve();
    expect(statuses([...(await answers.a), ...(await answers.b), ...(await answers.c)])).toEqual({ 200: 39 });
    expectOldestFirst(served);
    expect(lastOf(served, 'urgent')).toBeLessThan(10);
    expect(lastOf(served, 'quiet')).toBeLessThan(26);
    await nothingIsLeft();
  }, 120_000);

  test('while they are served: nobody is lost, shares go on, and nothing stays behind', async () => {
    await set(URGENT);
    const answers = await hold(
      [
        { name: 'loud', at: { a: 5, b: 5, c: 5 } },
        { name: 'quiet', at: { b: 2, c: 2 } },
      ],
      3,
    );
    const served = await serve();
    await eventually('some are served', () => served.length >= 10);
    await fail();
    expect(statuses([...(await answers.a), ...(await answers.b), ...(await answers.c)])).toEqual({ 200: 57 });
    expectOldestFirst(served);
    // In turns they are done after about 24, and node a may have served those it holds meanwhile. By age they would be the last.
    expect(lastOf(served, 'quiet')).toBeLessThan(50);
    await nothingIsLeft();
  }, 120_000);
});

test('the rules of a route are set, changed and removed while clients are held: the order follows, and nobody is lost', async () => {
  await set(PLAIN);
  const answers = await hold(
    [
      { name: 'loud', at: { a: 8, b: 8 }, team: 'one' },
      { name: 'quiet', at: { b: 1, c: 2 }, team: 'two', urgency: 5 },
      { name: 'other', at: { c: 1 }, team: 'two' },
    ],
    2,
  );
  expect((await queue()).lines).toEqual([]);
  const sizes = async (): Promise<string[]> => {
    const { lines, order } = await queue();
    return lines.map((line) => `${line[0]}: ${order[line]?.length}`).toSorted();
  };
  const follows = (what: string, expected: readonly string[], units = [1]): Promise<void> =>
    eventually(
      what,
      async () => isDeepStrictEqual([await sizes(), (await queue()).units, await held()], [expected, units, 40]),
      BACK_WITHIN_MS,
    );

  await set(FAIR);
  await follows('a share for each tenant', ['3: 2', '3: 32', '3: 6']);
  const byTenant = (await queue()).lines;
  await set(URGENT);
  await follows('classes', ['3: 2', '3: 32', '5: 6']);
  await set({ ...FAIR, fairWeights: 'quiet:4' });
  await follows('weights', ['3: 2', '3: 32', '3: 6'], [0.25, 1]);
  expect((await queue()).lines).toEqual(byTenant);
  await set({ ...FAIR, fairBy: 'header:X-Team' });
  await follows('a share for each team', ['3: 32', '3: 8']);
  expect((await queue()).lines.filter((line) => byTenant.includes(line))).toEqual([]);
  await set(PLAIN);
  await follows('all are alike', ['3: 40']);
  expect((await queue()).lines).toEqual(['3']);

  await set(FAIR);
  await follows('a share for each tenant again', ['3: 2', '3: 32', '3: 6']);
  const served = await serve();
  await eventually('most are served', () => served.length >= 30);
  // In turns they are done after about 14. By age they would be among the last.
  expect(served.slice(0, 30).filter(({ tenant }) => tenant === 'quiet')).toHaveLength(6);
  await set(PLAIN);
  expect(statuses([...(await answers.a), ...(await answers.b), ...(await answers.c)])).toEqual({ 200: 40 });
  expectOldestFirst(served);
  await nothingIsLeft();
}, 120_000);

test('a node with held clients is killed: its lines vanish, and the others are served by class, share and age', async () => {
  await set(URGENT);
  const answers = await hold(
    [
      { name: 'loud', at: { a: 5, b: 3, c: 3 } },
      { name: 'gone', at: { c: 4 } },
      { name: 'quiet', at: { b: 2 } },
      { name: 'urgent', at: { b: 1, c: 1 }, urgency: 1 },
    ],
    3,
  );
  const before = await queue();
  expect(before.lines).toHaveLength(4);
  nodes.c.kill('SIGKILL');
  expect(statuses(await answers.c)).toEqual({ 0: 24 });
  await eventually(
    'nothing of it is left',
    async () => {
      const entries = [
        await client.zrange(key('held'), 0, '-1'),
        await client.hkeys(key('asks')),
        await client.zrange(key('ranked'), 0, '-1'),
      ];
      return entries.flat().every((hold) => !hold.startsWith('c:')) && (await client.hexists(key('holders'), 'c')) === 0;
    },
    GONE_WITHIN_MS,
  );
  const after = await queue();
  expect(after.lines).toHaveLength(3);
  // Those who are left are in the order in which they were before.
  const left = Object.entries(before.order).map(([line, holds]) => [line, holds.filter((hold) => !hold.startsWith('c:'))] as const);
  expect(after.order).toEqual(Object.fromEntries(left.filter(([, holds]) => holds.length > 0)));

  const served = await serve();
  expect(statuses([...(await answers.a), ...(await answers.b)])).toEqual({ 200: 33 });
  expectOldestFirst(served);
  // In turns they are done after about 3, and 12 more. By age they would be among the last.
  expect(lastOf(served, 'urgent')).toBeLessThan(10);
  expect(lastOf(served, 'quiet')).toBeLessThan(26);
  await nothingIsLeft();
}, 120_000);

describe('the master of Redis is killed, and Sentinel chooses another one', () => {
  /** Sentinels that are short of a processor give up an attempt, and wait long before the next. */
  const FAILOVER_MS = 90_000;
  let before: { client: typeof client; nodes: typeof nodes };
  let group: RedisGroup;

  beforeAll(async () => {
    before = { client, nodes };
    group = await startSentinels();
    client = (group.servers[0] as RedisProcess).client;
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((id) => startNode(group.url, ['--id', id])));
    nodes = { a, b, c } as typeof nodes;
  }, 60_000);

  afterAll(async () => {
    await Promise.all(Object.values(nodes).map((node) => node.stop()));
    ({ client, nodes } = before);
    await group?.stop();
  });

  test('while clients of several tenants are held: nobody is lost, and class, share and age count as before', async () => {
    await set(URGENT);
    const answers = await hold(
      [
        { name: 'loud', at: { a: 5, b: 3, c: 2 } },
        { name: 'quiet', at: { b: 1, c: 1 } },
        { name: 'urgent', at: { c: 1 }, urgency: 1 },
      ],
      3,
    );
    const lines = (await queue()).lines;
    expect(lines).toHaveLength(3);
    const [master, replica] = group.servers as [RedisProcess, RedisProcess];
    master.signal('SIGKILL');
    client = replica.client;
    await eventually('another master is there', async () => String(await client.role()).startsWith('master'), FAILOVER_MS);
    // Someone who comes now is known only if the nodes write to the new master.
    const late = crowd(1, () => nodes.b.url, { host, path: '/late/b/9', headers: { 'x-tenant': 'late' } });
    await eventually('all are known', async () => (await held()) === 40 && (await client.zcard(key('lined'))) === 40, BACK_WITHIN_MS);
    expect((await queue()).lines.filter((line) => lines.includes(line))).toHaveLength(3);

    const served = await serve();
    expect(statuses([...(await answers.a), ...(await answers.b), ...(await answers.c), ...(await late)])).toEqual({ 200: 40 });
    expectOldestFirst(served);
    // By age alone the last of both would be among the last three of all.
    expect(lastOf(served, 'urgent')).toBeLessThan(22);
    expect(lastOf(served, 'quiet')).toBeLessThan(34);
    await nothingIsLeft();
  }, 180_000);
});
