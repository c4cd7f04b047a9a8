/**
 * What a cluster without any traffic costs one Redis: real members on a real Redis, each with its own connection, and what Redis itself counts, commands
 * within scripts included. Needs redis-server.
 *
 *     npm run bench:rest [-- --nodes 12 --linkers 100 --routes 50 --seconds 35]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import pino from 'pino';
import type { Cluster, ClusterListener } from '../../src/cluster/cluster.ts';
import { createRedisCluster } from '../../src/cluster/redis/open.ts';
import { freePort } from '../../src/linker/free-port.ts';
import { Random } from '../e2e/chaos/random.ts';
import { accepts, Children } from './children.ts';

interface Sizes {
  readonly nodes: number;
  readonly linkers: number;
  readonly routes: number;
}

const { values } = parseArgs({
  options: {
    nodes: { type: 'string' },
    linkers: { type: 'string' },
    routes: { type: 'string' },
    seconds: { type: 'string', default: '35' },
  },
});
const seconds = Number(values.seconds);
/** Instances prove themselves meanwhile. */
const SETTLE_MS = 16_000;
const CONCURRENCY = 3;
const ONE: Sizes = { nodes: Number(values.nodes ?? 12), linkers: Number(values.linkers ?? 100), routes: Number(values.routes ?? 50) };
const isOne = values.nodes !== undefined || values.linkers !== undefined || values.routes !== undefined;
/** One number at a time. */
const all: readonly Sizes[] = isOne
  ? [ONE]
  : [ONE, { ...ONE, nodes: 3 }, { ...ONE, nodes: 24 }, { ...ONE, linkers: 200 }, { ...ONE, linkers: 200, routes: 100 }];

const NOTHING = (): void => {};
const LISTENER: ClusterListener = {
  onWant: NOTHING,
  onComing: NOTHING,
  onHoldRefused: NOTHING,
  onStartNeeded: NOTHING,
  onNewest: NOTHING,
  onRoutes: NOTHING,
  onConnected: NOTHING,
};

for (const sizes of all) console.log(JSON.stringify({ ...sizes, ...(await measure(sizes)) }));

async function measure({ nodes, linkers, routes }: Sizes): Promise<object> {
  const children = new Children();
  const port = await freePort();
  children.start('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no']);
  await accepts(port);
  const observer = new Redis(port);
  const random = new Random(1);
  const clusters: Cluster[] = [];
  try {
    for (let i = 0; i < nodes; i++) {
      const self = { id: `node-${i}`, address: `10.0.0.${i}:9080` };
      const { cluster } = createRedisCluster({
        url: `redis://127.0.0.1:${port}`,
        self,
        version: '0',
        log: pino({ level: 'silent' }),
      });
      clusters.push(cluster);
      await cluster.start(LISTENER, () => ({ held: 0, active: 0, links: Math.ceil(linkers / nodes) }));
    }
    const lies = new Map<Cluster, Map<string, number>>(clusters.map((cluster) => [cluster, new Map()]));
    for (let i = 0; i < linkers; i++) {
      const route = `app-${i % routes}.example.com`;
      const home = random.pick(clusters);
      home.instance(route, { id: `instance${i}`, seq: 0, concurrency: CONCURRENCY, state: 'ready', active: 0 });
      const there = lies.get(home) as Map<string, number>;
      there.set(route, (there.get(route) ?? 0) + CONCURRENCY);
      home.idle(route, there.get(route) ?? 0);
    }
    await delay(SETTLE_MS);
    const [before, sent] = [await counts(observer), sum(clusters)];
    await delay(seconds * 1_000);
    const [after, sentAfter] = [await counts(observer), sum(clusters)];
    const per = (count: number): number => Math.round((10 * count) / seconds) / 10;
    const kinds = [...after.calls].map(([name, calls]): [string, number] => [name, per(calls - (before.calls.get(name) ?? 0))]);
    const most = kinds.filter(([, rate]) => rate > 0).sort((a, b) => b[1] - a[1]);
    return {
      commandsPerSecond: per(after.processed - before.processed),
      sentPerSecond: per(sentAfter - sent),
      redisMsPerSecond: per(after.cpuMs - before.cpuMs),
      most: Object.fromEntries(most.slice(0, 12)),
    };
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
    observer.disconnect();
    await children.stopAll();
  }
}

function sum(clusters: readonly Cluster[]): number {
  return clusters.reduce((all, { commands }) => all + commands, 0);
}

async function counts(redis: Redis): Promise<{ processed: number; cpuMs: number; calls: Map<string, number> }> {
  const [stats, cpu] = [await redis.info('commandstats'), await redis.info('cpu')];
  const calls = new Map([...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name = '', count]) => [name, Number(count)]));
  // This measurement's own.
  calls.delete('info');
  const cpuMs = ['user', 'sys'].reduce((all, kind) => all + 1_000 * Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(cpu)?.[1]), 0);
  return { processed: [...calls.values()].reduce((all, count) => all + count, 0), cpuMs, calls };
}
