/** What is declared, in a Redis that others write to by hand, that evicts, or that loses some of its keys. */
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Declarations } from '../../src/cluster/declarations.ts';
import { KnownDeclarations } from '../../src/cluster/member/known-declarations.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { declaredKey, versionsKey } from '../../src/cluster/redis/keys.ts';
import { startRedis } from '../support/redis.ts';
import { silent } from './world.ts';

const server = await startRedis();
const client = new Redis(server.url);
const connection = new RedisConnection(server.url, silent);
await connection.ready(30_000);
const directory = new RedisDirectory(connection);

const a = 'a.example.com';
const b = 'b.example.com';

beforeEach(() => client.flushall());

afterAll(async () => {
  client.disconnect();
  await connection.close();
  await server.stop();
});

const aNode = (): KnownDeclarations => new KnownDeclarations(directory, {}, silent, () => performance.now());
const routes = async (): Promise<Record<string, unknown>> => Object.fromEntries(await directory.routes());

test('what was written or removed by hand is the newest word', async () => {
  const node = aNode();
  await directory.setRoute(a, { maxInstances: 1 });
  await directory.setRoute(b, { maxInstances: 1 });
  await node.routes();
  await client.hset('pp:routes', a, '{"maxInstances":2}');
  await client.hdel('pp:routes', b);
  expect([...(await node.routes())]).toEqual([[a, { maxInstances: 2 }]]);
  await client.flushall();
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 2 } });
});

test('settings that pullproxy 0.1 wrote are taken over', async () => {
  await client.hset('pp:routes', a, '{"maxInstances":2}');
  const node = aNode();
  await node.routes();
  await client.flushall();
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 2 } });
});

test('a key that was evicted comes back, also when something was declared before anybody noticed', async () => {
  const node = aNode();
  await directory.setRoute(a, { maxInstances: 1 });
  await directory.setRoute(b, { maxInstances: 2 });
  await node.routes();
  await client.del('pp:routes');
  await directory.setRoute(b, { maxInstances: 3 });
  expect(await routes()).toEqual({ [b]: { maxInstances: 3 } });
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 1 }, [b]: { maxInstances: 3 } });
});

test.each([declaredKey, versionsKey, 'pp:routes'])('%s may be of another type, or be lost', async (key) => {
  const node = aNode();
  await directory.setRoute(a, { maxInstances: 1 });
  await node.routes();
  await client.del(key);
  await client.lpush(key, 'x');
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 1 } });
  await client.del(key);
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 1 } });
});

test('what nobody knows any more is said to be lost until somebody says it anew', async () => {
  await directory.setRoute(a, { maxInstances: 1 });
  await client.del('pp:routes');
  expect(await directory.declarations()).toMatchObject({ all: [], lost: [{ name: a }] });
  await aNode().routes();
  expect(await directory.declarations()).toMatchObject({ lost: [{ name: a }] });
  await directory.setRoute(a, null);
  expect(await directory.declarations()).toMatchObject({ all: [{ name: a, value: null }], lost: [] });
});

test('a Redis that takes no writes is read all the same', async () => {
  await directory.setRoute(a, { maxInstances: 1 });
  await client.hset('pp:routes', b, '{"maxInstances":2}');
  await client.config('SET', 'maxmemory', '1');
  expect([...(await aNode().routes()).keys()].sort()).toEqual([a, b]);
  await client.config('SET', 'maxmemory', '0');
});

test('a failover that lost the last seconds gets them back from a node', async () => {
  const node = aNode();
  await directory.setRoute(a, { maxInstances: 1 });
  await node.routes();
  const [about, versions, values] = await Promise.all([declaredKey, versionsKey, 'pp:routes'].map((key) => client.hgetall(key)));
  await directory.setRoute(a, { maxInstances: 2 });
  await directory.setRoute(b, {});
  await node.routes();
  await client.flushall();
  await client.hset(declaredKey, about ?? {});
  await client.hset(versionsKey, versions ?? {});
  await client.hset('pp:routes', values ?? {});
  await node.routes();
  expect(await routes()).toEqual({ [a]: { maxInstances: 2 }, [b]: {} });
});

test('versions that nobody gave, and lines that are none, count for nothing', async () => {
  const node = aNode();
  await directory.setRoute(a, { maxInstances: 1 });
  await client.hset(versionsKey, `settings ${a}`, '9007199254740991 abc', 'settings b', 'x', 'x', '1 -', ' ', '', 'pause y', '5 -');
  await client.hset(declaredKey, 'highest', 'nan', 'lostUpTo', '-1', 'pruned', '1e999');
  await node.routes();
  await directory.setRoute(a, { maxInstances: 2 });
  expect([...(await node.routes())]).toEqual([[a, { maxInstances: 2 }]]);
});

test('ten thousand deletions are remembered, and no more', async () => {
  const all: Declarations['all'] = Array.from({ length: 12_000 }, (_, i) => ({
    kind: 'settings',
    name: `r${i}.example.com`,
    value: null,
    version: i + 1,
  }));
  await directory.restore('c', { cluster: 'c', highest: 12_000, all });
  await directory.setRoute(a, {});
  await directory.setRoute(a, null);
  expect(await client.hlen(versionsKey)).toBe(10_000);
  // A node that was away for so long brings nothing back.
  await directory.restore('c', { cluster: 'c', highest: 5, all: [{ kind: 'settings', name: 'r1.example.com', value: '{}', version: 2 }] });
  expect(await routes()).toEqual({});
});
