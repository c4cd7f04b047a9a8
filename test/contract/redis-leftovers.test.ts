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

test('all that nodes register lapses by itself', async () => {
  await directory.beatRoute(route, a, { idle: 2, serving: 1, gone: [], instances: [{ id: 'i1', claim: true, info: instance('i1') }] });
  await directory.hold(route, b, { idle: 0, add: [{ id: '1', ageMs: 0 }], remove: [], maxHeld: null, reset: false });
  for (const part of await client.keys(key('*'))) expect([part, (await client.pttl(part)) > 0]).toEqual([part, true]);
});
