/** Shares and urgency over three nodes, with real processes and a real Redis. The bounds hold on a busy machine; plain first come, first served is far beyond them. */
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startLinker, startNode } from '../support/cluster.ts';
import { percentile } from '../support/paced-load.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const FAIR = 'fair.example.com';
const URGENT = 'urgent.example.com';
const REQUEST = '/slow?ms=20';

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();
const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, FAIR, 'fairBy=header:X-Tenant', 'trustClients=true');
  await setRoute(redis.url, URGENT, 'priority=header:X-Urgency', 'trustClients=true');
  nodes = await Promise.all([0, 1, 2].map((i) => startNode(redis.url, ['--id', `n${i}`])));
  const proxies = nodes.map(({ backend }) => backend);
  await Promise.all([FAIR, URGENT].map((route) => startLinker({ proxies, route, concurrency: 4, app: COUNTING_APP }, ledger.env(4))));
});

afterAll(async () => {
  agent.destroy();
  await redis?.stop();
  expect(ledger.lines(ledger.violations)).toEqual([]);
  ledger.remove();
});

interface Crowd {
  readonly name: string;
  /** The nodes of its clients. */
  readonly at: readonly number[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Each client asks again as soon as it has its response, until so many of the last crowd are there. Returns the times of each crowd. */
async function load(host: string, crowds: readonly Crowd[], until: number): Promise<Record<string, number[]>> {
  const took: Record<string, number[]> = Object.fromEntries(crowds.map(({ name }) => [name, []]));
  const last = took[crowds.at(-1)?.name ?? ''] as number[];
  const client = async ({ name, headers }: Crowd, node: number): Promise<void> => {
    while (last.length < until) {
      const began = performance.now();
      const { status } = await ask((nodes[node] as ClusterNode).url, { host, path: REQUEST, headers, agent });
      expect(status).toBe(200);
      took[name]?.push(performance.now() - began);
    }
  };
  await Promise.all(crowds.flatMap((crowd) => crowd.at.map((node) => client(crowd, node))));
  return took;
}

const spread = (count: number, at: (i: number) => number): number[] => Array.from({ length: count }, (_, i) => at(i));
const tenant = (name: string, at: readonly number[]): Crowd => ({ name, at, headers: { 'x-tenant': name } });

test('a tenant with a request at a time does not wait behind one with 120', async () => {
  const { loud, quiet } = await load(
    FAIR,
    [
      tenant(
        'loud',
        spread(120, (i) => i % 3),
      ),
      tenant('quiet', [2]),
    ],
    100,
  );
  const [behind, alone] = [percentile(loud as number[], 50), percentile(quiet as number[], 50)];
  process.stderr.write(
    `loud p50 ${behind.toFixed()} ms, quiet p50 ${alone.toFixed()} ms, p99 ${percentile(quiet as number[], 99).toFixed()} ms\n`,
  );
  expect(alone).toBeLessThan(behind / 3);
});

test('three equal tenants that are spread unevenly over the nodes get equal shares', async () => {
  const took = await load(
    FAIR,
    [
      tenant(
        'a',
        spread(40, () => 0),
      ),
      tenant(
        'b',
        spread(40, (i) => i % 2),
      ),
      tenant(
        'c',
        spread(40, (i) => (i % 8 === 0 ? 1 : 2)),
      ),
    ],
    400,
  );
  const counts = Object.values(took).map(({ length }) => length);
  process.stderr.write(`served: ${JSON.stringify(counts)}\n`);
  expect(Math.min(...counts)).toBeGreaterThan(0.8 * Math.max(...counts));
});

test('who is urgent does not wait for who is patient', async () => {
  const patient: Crowd = { name: 'patient', at: spread(60, (i) => i % 3), headers: { 'x-urgency': '5' } };
  const urgent: Crowd = { name: 'urgent', at: [0, 1, 2], headers: { 'x-urgency': '0' } };
  const took = await load(URGENT, [patient, urgent], 200);
  const [slow, fast] = [percentile(took.patient as number[], 50), percentile(took.urgent as number[], 50)];
  process.stderr.write(
    `patient p50 ${slow.toFixed()} ms, urgent p50 ${fast.toFixed()} ms, p99 ${percentile(took.urgent as number[], 99).toFixed()} ms\n`,
  );
  expect(fast).toBeLessThan(slow / 3);
});
