/** A master that fails, with Sentinels that choose another one. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../../src/cluster/cluster.ts';
import type { Directory } from '../../src/cluster/directory.ts';
import { createRedisCluster } from '../../src/cluster/redis/open.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisGroup, type RedisProcess, startSentinels } from '../support/redis-processes.ts';
import { instance, silent } from './world.ts';

const route = 'app.example.com';
/**
 * Sentinels that are short of a processor give up an attempt, also after they have promoted the replica, and wait twice their failover-timeout
 * before the next; after a stall of 2 s they do nothing for 30 s (TILT).
 */
const FAILOVER_MS = 90_000;

interface Joined {
  readonly cluster: Cluster;
  readonly directory: Directory;
  readonly wants: number[];
}

describe('with Sentinel', () => {
  let group: RedisGroup;
  let joined: Joined[] = [];

  beforeEach(async () => {
    group = await startSentinels();
  });

  afterEach(async () => {
    await Promise.all(joined.map(({ cluster }) => cluster.stop()));
    joined = [];
    await group.stop();
  });

  async function join(id: string): Promise<Joined> {
    const made = createRedisCluster({ url: group.url, self: { id, address: `${id}.test:9080` }, version: '1', log: silent });
    const node: Joined = { ...made, wants: [] };
    joined.push(node);
    await node.cluster.start(
      {
        onWant: (_route, count) => void node.wants.push(count),
        onComing: () => undefined,
        onHoldRefused: () => undefined,
        onStartNeeded: () => undefined,
        onNewest: () => undefined,
        onRoutes: () => undefined,
        onConnected: () => undefined,
      },
      () => ({ held: 0, active: 0, links: 0 }),
    );
    return node;
  }

  test.each([
    ['killed', 'SIGKILL'],
    ['frozen', 'SIGSTOP'],
  ] as const)('the master is %s: the nodes follow to the new one, and the directory is whole there', async (_how, signal) => {
    const [a, b] = [await join('a'), await join('b')];
    for (let i = 0; i < 20; i++) a.cluster.hold(route, `c${i}`, 0, 100);
    b.cluster.instance('other.example.com', instance('i1'));
    b.cluster.idle('other.example.com', 4);
    await eventually('whole', () => isWhole(a, 20));

    const [master, replica] = group.servers as [RedisProcess, RedisProcess];
    master.signal(signal);
    a.cluster.hold(route, 'meanwhile', 0, 100);
    const isFollowed = async (): Promise<boolean> =>
      a.cluster.connected && b.cluster.connected && String(await replica.client.role()).startsWith('master');
    await eventually('another master is there, and both nodes are with it', isFollowed, FAILOVER_MS);
    await eventually('whole', () => isWhole(a, 21), 10_000);
    b.cluster.idle(route, 2);
    await eventually('slots are wanted: the bell rings there, too', () => b.wants.length > 0);
    expect(String(await replica.client.zcard(`pp:{${route}}:held`))).toBe('21');

    // What was frozen still believes that it is the master: nobody must go back to it.
    master.signal('SIGCONT');
    await eventually('still whole', () => isWhole(b, 21));
  });

  async function isWhole({ directory }: Joined, held: number): Promise<boolean> {
    const { nodes, routes } = await directory.snapshot();
    const [app, other] = routes;
    return nodes.length === 2 && app?.held === held && other?.free === 4 && other.instances.length === 1;
  }
});
