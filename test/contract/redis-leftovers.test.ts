/** What is left in Redis of nodes of which none is there any more. */
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { startRedis } from '../support/redis.ts';
import { instance, silent } from './world.ts';

const server = await startRedis();
const client = new Redis(server.url);
const connection = new RedisConnection(server.url, silent);
await connection.ready(30_000);
const directory = new RedisDirectory(connection);

const route = 'app.example.com';
const key = (part: string): string => `pp:{${route}}:${part}`;
const a = { id: 'a', address: 'a.test:1' };
const b = { id: 'b', address: 'b.test:1' };
const nothing = { idle: 0, instances: [], gone: [] };

beforeEach(() => client.flushall());

afterAll(async () => {
  client.disconnect();
  await connection.close();
  await server.stop();
});

test('clients, slots and instances of nodes that have all lapsed count for nothing, although their keys have not', async () => {
  await directory.beatRoute(route, a, { idle: 2, gone: [], instances: [{ id: 'i1', claim: true, info: instance('i1') }] });
  await directory.hold(route, a, { idle: 2, add: [{ id: '1', ageMs: 0 }], remove: [], maxHeld: null, reset: false });
  await client.del(key('nodes'));
  for (const part of ['held', 'holders', 'free', 'instances', 'peers']) expect(await client.exists(key(part))).toBe(1);
  expect(await directory.startPlan(route)).toMatchObject({ held: 0, free: 0, ready: 0, slots: 0 });
  expect(await directory.linked(route)).toBe(false);
  expect(await client.keys(key('*'))).toEqual([key('meta')]);
});

test('what was remembered of instances does not outlive them', async () => {
  const beat = (id: string, seq: number) => ({ idle: 0, gone: [], instances: [{ id, claim: true, info: instance(id, { seq }) }] });
  expect((await directory.beatRoute(route, a, beat('i9', 9))).newest).toBe('i9');
  await client.del(key('instances'));
  expect((await directory.beatRoute(route, b, beat('i1', 1))).newest).toBe('i1');
  expect(await directory.startPlan(route)).toMatchObject({ ready: 1, slots: 10 });
  expect((await directory.beatRoute(route, b, nothing)).newest).toBe('i1');
});

test('nobody rests while a node of an earlier version is there, which takes those that rest for dead', async () => {
  const beat = { ...a, version: '1', startedMs: 0, held: 0, active: 0, links: 0 };
  expect((await directory.beatNode(beat)).mayRest).toBe(true);
  await client.zadd('pp:nodes', Date.now(), 'old');
  expect((await directory.beatNode(beat)).mayRest).toBe(false);
  await client.zrem('pp:nodes', 'old');
  expect((await directory.beatNode(beat)).mayRest).toBe(true);
});

test('a node that rests is there for much longer than one that is silent', async () => {
  await directory.beatRoute(route, a, { ...nothing, idle: 2, rests: true });
  await directory.beatRoute(route, b, { ...nothing, idle: 1 });
  const { now } = await directory.pauses();
  await client.zadd(key('nodes'), now - 30_000.5, 'a');
  await client.zadd(key('nodes'), now - 4_000, 'b');
  // Once, the silence of all is taken for that of Redis.
  expect(await directory.startPlan(route)).toMatchObject({ free: 3 });
  await client.hset(key('meta'), 'sparedUntil', 0);
  expect(await directory.startPlan(route)).toMatchObject({ free: 2 });
  await client.zadd(key('nodes'), now - 70_000.5, 'a');
  await client.hset(key('meta'), 'sparedUntil', 0, 'silentSince', now - 70_001);
  expect(await directory.startPlan(route)).toMatchObject({ free: 0 });
});

test('a user who may not read revisions is not asked again and again, and nothing is wrong', async () => {
  await client.call('ACL', 'SETUSER', 'narrow', 'on', '>word', '~*', '&*', '+@all', '-mget');
  const own = new RedisConnection(server.url.replace('redis://', 'redis://narrow:word@'), silent);
  await own.ready(30_000);
  const narrow = new RedisDirectory(own);
  await expect(narrow.revisions([route])).rejects.toThrow('revisions can not be read');
  const { commands } = own;
  await expect(narrow.revisions([route])).rejects.toThrow('a moment ago');
  expect([own.commands, own.refusal]).toEqual([commands, null]);
  await own.close();
});

test('all that nodes register lapses by itself', async () => {
  await directory.beatRoute(route, a, { idle: 2, serving: 1, gone: [], instances: [{ id: 'i1', claim: true, info: instance('i1') }] });
  await directory.hold(route, b, { idle: 0, add: [{ id: '1', ageMs: 0 }], remove: [], maxHeld: null, reset: false });
  for (const part of await client.keys(key('*'))) expect([part, (await client.pttl(part)) > 0]).toEqual([part, true]);
});
