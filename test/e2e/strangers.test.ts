/** Host names come from strangers: ten thousand that nobody knows start nothing and leave nothing behind. */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startNode, startScaler } from '../support/cluster.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const HOSTS = 10_000;
const AT_ONCE = 50;
/** What a process's heap may differ by between two moments. */
const NOISE_BYTES = 32 * 1024 * 1024;

let redis: RedisServer;
let client: Redis;
let nodes: ClusterNode[];
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  await setRoute(redis.url, 'known.example.com', 'maxInstances=3');
  nodes = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id])));
  await startScaler(redis.url, { proxies: nodes.map(({ backend }) => backend), concurrency: 10, app: COUNTING_APP }, ledger);
});

afterAll(async () => {
  client?.disconnect();
  await redis?.stop();
  ledger.remove();
});

/** Distinct, and of all kinds. */
function strangeHost(n: number): string {
  const kinds = [`h${n}.example.org`, `a.b.c.d.e.f.${n}.test`, `${n}.${n}.${n % 256}.1`, `known.example.com.evil${n}.test`, `x${n}`];
  return kinds[n % kinds.length] as string;
}

async function askAll(from: number, count: number): Promise<Record<string, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const seen: Record<string, number> = {};
  let next = from;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < from + count) {
        const n = next++;
        const { status } = await ask((nodes[n % nodes.length] as ClusterNode).url, { host: strangeHost(n), agent });
        seen[status] = (seen[status] ?? 0) + 1;
      }
    }),
  );
  agent.destroy();
  return seen;
}

/** But for the history, which has another key every half minute. */
const keys = async (): Promise<string[]> => (await client.keys('*')).filter((key) => !key.startsWith('pp:{pp:history}:')).sort();
const resident = (): number =>
  nodes.reduce((sum, { pid }) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024, 0);

test(`${HOSTS} different hosts that nobody knows are answered 404: nothing is started, and memory and Redis are as before`, async () => {
  // What every process needs once: caches, compiled code.
  await askAll(HOSTS, 2_000);
  const [before, bytes] = [await keys(), resident()];
  expect(await askAll(0, HOSTS)).toEqual({ 404: HOSTS });
  expect(await keys()).toEqual(before);
  expect(resident() - bytes).toBeLessThan(nodes.length * NOISE_BYTES);
  expect(ledger.lines(ledger.commands)).toEqual([]);
});
