/** What a node keeps, and says again, when Redis is gone, frozen, empty or refuses to write. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pino from 'pino';
import type { Cluster, ClusterListener, Peer } from '../../src/cluster/cluster.ts';
import type { Directory } from '../../src/cluster/directory.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { createRedisCluster, createRedisDirectory } from '../../src/cluster/redis/open.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { instance, silent } from './world.ts';

const route = 'app.example.com';

interface Joined {
  readonly cluster: Cluster;
  readonly directory: Directory;
  readonly connected: boolean[];
  readonly wants: number[];
  readonly refused: string[];
  readonly logged: string[];
}

describe('when Redis fails', () => {
  let server: RedisServer;
  let joined: Joined[] = [];

  beforeEach(async () => {
    server = await startRedis();
  });

  afterEach(async () => {
    await Promise.all(joined.map(({ cluster }) => cluster.stop()));
    joined = [];
    await server.stop();
  });

  async function join(id: string): Promise<Joined> {
    const logged: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(String((JSON.parse(line) as { msg: string }).msg)) });
    const made = createRedisCluster({ url: server.url, self: { id, address: `${id}.test:9080` }, version: '1', log });
    const node: Joined = { ...made, connected: [], wants: [], refused: [], logged };
    const listener: ClusterListener = {
      onWant: (_route, count) => void node.wants.push(count),
      onComing: () => undefined,
      onHoldRefused: (_route, hold) => void node.refused.push(hold),
      onStartNeeded: () => undefined,
      onNewest: () => undefined,
      onRoutes: () => undefined,
      onConnected: (connected) => void node.connected.push(connected),
    };
    joined.push(node);
    await node.cluster.start(listener, () => ({ held: 0, active: 0, links: 0 }));
    return node;
  }

  async function settle(a: Joined, b: Joined): Promise<void> {
    for (let i = 0; i < 50; i++) a.cluster.hold(route, `c${i}`, 0, 60);
    b.cluster.instance('other.example.com', instance('i1'));
    b.cluster.idle('other.example.com', 4);
    await eventually('settled', () => isWhole(a));
  }

  async function isWhole({ directory }: Joined): Promise<boolean> {
    const { nodes, routes } = await directory.snapshot();
    const [app, other] = routes;
    return nodes.length === 2 && app?.held === 50 && other?.free === 4 && other.instances.length === 1;
  }

  test('two nodes with one id are told of each other, and one that took the place of another is not', async () => {
    const namesake = (logged: readonly string[]): number =>
      logged.filter((line) => line.includes('another node has the id of this one')).length;
    const [a, b] = [await join('a'), await join('b')];
    await eventually('beaten', async () => (await a.directory.snapshot()).nodes.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 2));
    const other = await join('a');
    await eventually('both say so', () => namesake(a.logged) === 1 && namesake(other.logged) === 1);
    await other.cluster.stop();
    const next = await join('b-2');
    const beats = performance.now();
    await eventually('two more beats', () => performance.now() - beats > 2_200);
    expect([a, b, next].map(({ logged }) => namesake(logged))).toEqual([1, 0, 0]);
  });

  test('restarted empty, the directory is whole within two beats after it answers, and nobody was refused', async () => {
    const [a, b] = [await join('a'), await join('b')];
    await settle(a, b);
    await server.kill();
    await eventually('noticed', () => !a.cluster.connected && !b.cluster.connected);
    a.cluster.unhold(route, 'c0');
    a.cluster.hold(route, 'later', 0, 60);
    await server.restart();
    await eventually('back', () => a.cluster.connected && b.cluster.connected);
    const began = performance.now();
    await eventually('whole', () => isWhole(a));
    expect(performance.now() - began).toBeLessThan(2_300);
    expect(a.refused).toEqual([]);
    expect(a.connected).toEqual([true, false, true]);
  });

  test('frozen, it counts as gone within seconds, costs nothing, and all is right when it wakes', async () => {
    const [a, b] = [await join('a'), await join('b')];
    await settle(a, b);
    await server.pause();
    const before = a.cluster.commands;
    const mayRetire = b.cluster.mayRetire('other.example.com', 'i1', 0);
    for (let i = 0; i < 1_000; i++) {
      a.cluster.hold(route, `x${i}`, 0, 60);
      await new Promise(setImmediate);
      a.cluster.unhold(route, `x${i}`);
    }
    expect(await mayRetire).toBe(false);
    await eventually('noticed', () => !a.cluster.connected && !b.cluster.connected);
    expect(a.cluster.commands - before).toBeLessThan(30);
    await server.resume();
    await eventually('back', () => a.cluster.connected && b.cluster.connected);
    await eventually('whole', () => isWhole(a));
    b.cluster.idle(route, 2);
    await eventually('slots are wanted', () => b.wants.length > 0);
    expect(a.connected).toEqual([true, false, true]);
  });

  test('frozen for longer than a node may be silent, it takes nobody for dead when it wakes, and no start is planned for what is there', async () => {
    const [a, b] = [await join('a'), await join('b')];
    await settle(a, b);
    const watching = new Redis(server.url);
    await watching.ping();
    const began = performance.now();
    await server.pause();
    await eventually('everybody has been silent for too long', () => performance.now() - began > 4_000);
    // Its answers come first when Redis wakes: before any node is back.
    const scaler = createRedisDirectory({ url: server.url, log: silent });
    const plans = scaler.ready(10_000).then(() => Promise.all([scaler.startPlan(route), scaler.startPlan('other.example.com')]));
    await server.resume();
    const [app, other] = await plans;
    expect(app.held).toBe(50);
    expect(other).toMatchObject({ ready: 1, slots: 10 });
    await eventually('back', () => a.cluster.connected && b.cluster.connected);
    for (let i = 0; i < 40; i++) {
      expect(await scaler.startPlan('other.example.com')).toMatchObject({ ready: 1, slots: 10 });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(a.logged.concat(b.logged).filter((line) => line.includes('stopped beating'))).toEqual([]);
    await scaler.close();
    watching.disconnect();
  });

  test('absent when the node starts, it is joined when it comes', async () => {
    await server.kill();
    const a = await join('a');
    expect(a.connected).toEqual([false]);
    a.cluster.hold(route, 'c1', 0, 10);
    expect(await a.cluster.mayRetire(route, 'i1', 0)).toBe(false);
    expect(await a.cluster.linkedRoute([route])).toBeNull();
    await expect(a.cluster.snapshot()).rejects.toThrow('the directory is unavailable');
    await server.restart();
    await eventually('joined', async () => {
      const { nodes, routes } = await a.cluster.snapshot();
      return nodes.length === 1 && routes[0]?.held === 1;
    });
    expect(a.connected).toEqual([false, true]);
  });

  test('an outage is logged once, not with every attempt', async () => {
    const a = await join('a');
    a.cluster.hold(route, 'c1', 0, 10);
    await server.kill();
    await eventually('noticed', () => !a.cluster.connected);
    await eventually('some attempts failed', () => a.logged.includes('Redis connection failed'));
    await server.restart();
    await eventually('back', () => a.cluster.connected);
    // What this Redis is in any case is said as well, whenever its INFO is read.
    const words = a.logged.filter((line) => line.includes('Redis') && !/persists nothing|another Redis answers/.test(line));
    expect([words[0], words.at(-1)]).toEqual(['connected to Redis', 'connected to Redis']);
    // A socket may say that it failed before it says that it closed.
    expect(words.slice(1, -1).sort()).toEqual(['Redis connection failed', 'disconnected from Redis']);
  });

  test('full, it is asked again with the beats and not in a loop, and all is right when it takes writes', async () => {
    const [a, b] = [await join('a'), await join('b')];
    const client = new Redis(server.url);
    await client.config('SET', 'maxmemory', '1');
    for (let i = 0; i < 50; i++) a.cluster.hold(route, `c${i}`, 0, 60);
    b.cluster.instance('other.example.com', instance('i1'));
    b.cluster.idle('other.example.com', 4);
    await eventually('refused', () => a.logged.includes('Redis refuses a command'));
    expect(a.cluster.refusal).toMatch(/^OOM /);
    expect(a.cluster.connected).toBe(true);
    const before = a.cluster.commands;
    const began = performance.now();
    await eventually('two beats have passed', () => performance.now() - began > 2_000);
    expect(a.cluster.commands - before).toBeLessThan(80);
    await client.config('SET', 'maxmemory', '0');
    await eventually('whole', () => isWhole(a));
    client.disconnect();
    expect(a.logged.filter((line) => line === 'Redis refuses a command')).toHaveLength(1);
    await eventually('nothing is refused any more', () => a.cluster.refusal === null && b.cluster.refusal === null);
  });

  test('a replica, which takes no writes, it is said so once, and is not left again and again', async () => {
    const [a, b] = [await join('a'), await join('b')];
    await settle(a, b);
    const client = new Redis(server.url);
    await client.call('REPLICAOF', '127.0.0.1', '1');
    await eventually('it refuses', () => a.cluster.refusal?.startsWith('READONLY') === true);
    const began = performance.now();
    await eventually('three beats have passed', () => performance.now() - began > 3_000);
    expect(a.cluster.connected).toBe(true);
    expect(a.cluster.refusal).toMatch(/^READONLY /);
    // Once for good, and once for a new connection that might have led to the master.
    expect(a.connected.length).toBeLessThanOrEqual(3);
    expect(a.logged.filter((line) => line === 'Redis refuses a command')).toHaveLength(1);
    await client.call('REPLICAOF', 'NO', 'ONE');
    await eventually('whole', () => isWhole(a));
    await eventually('nothing is refused any more', () => a.cluster.refusal === null);
    client.disconnect();
  });

  test('a lost subscription comes back, and meanwhile clients are found by the sweep', async () => {
    const [a, b] = [await join('a'), await join('b')];
    a.cluster.hold(route, 'c1', 0, 10);
    const client = new Redis(server.url);
    expect(await client.call('client', 'kill', 'type', 'pubsub')).toBe(2);
    b.cluster.idle(route, 1);
    await eventually('the slot is wanted', () => b.wants.length > 0, 1_000);
    await eventually('both listen again', async () =>
      (await client.pubsub('NUMSUB', 'pp:node:a', 'pp:node:b')).every((n, i) => i % 2 === 0 || n === 1),
    );
    client.disconnect();
  });

  test('where the user may not publish, slots are promised all the same, and no node has been told', async () => {
    const client = new Redis(server.url);
    await client.call('acl', 'setuser', 'mute', 'on', '>secret', '~*', '&*', '+@all', '-publish');
    const connection = new RedisConnection(server.url.replace('redis://', 'redis://mute:secret@'), silent);
    await connection.ready(30_000);
    const directory = new RedisDirectory(connection);
    const [a, b] = ['a', 'b'].map((id) => ({ id, address: `${id}.test:9080` })) as [Peer, Peer];
    await directory.beatRoute(route, b, { idle: 1, instances: [], gone: [] });
    const change = { add: [{ id: 'c1', ageMs: 0 }], remove: [], maxHeld: null, reset: false, idle: 0 };
    expect((await directory.hold(route, a, change)).moves).toEqual([{ from: 'b', to: a, count: 1 }]);
    await connection.close();
    client.disconnect();
  });

  test('a refused password is logged as the reason, and itself never', async () => {
    const client = new Redis(server.url);
    await client.config('SET', 'requirepass', 'right');
    const lines: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
    const directory = createRedisDirectory({ url: server.url.replace('redis://', 'redis://:wrong-secret@'), log });
    await expect(directory.ready(1_000)).rejects.toThrow('the directory is unavailable');
    await directory.close();
    client.disconnect();
    expect(lines.join()).toContain('WRONGPASS');
    expect(lines.join()).not.toContain('wrong-secret');

    const right = createRedisDirectory({ url: server.url.replace('redis://', 'redis://:right@'), log });
    await right.ready(30_000);
    expect(await right.routes()).toEqual(new Map());
    await right.close();
  });

  test('who is no node reads and writes without joining', async () => {
    const a = await join('a');
    a.cluster.hold(route, 'c1', 0, 10);
    const directory = createRedisDirectory({ url: server.url, log: silent });
    await directory.ready(5_000);
    await eventually('held', async () => (await directory.startPlan(route)).held === 1);
    await directory.setRoute(route, { maxInstances: 2 });
    expect((await directory.snapshot()).nodes.map(({ id }) => id)).toEqual(['a']);
    await directory.close();

    const nowhere = createRedisDirectory({ url: 'redis://127.0.0.1:1', log: silent });
    await expect(nowhere.ready(100)).rejects.toThrow('Redis does not answer within 100 ms');
    await nowhere.close();
  });
});
