/** In which order clients at several nodes are served, and that the nodes' clocks have no say in it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP, SKEWED_CLOCK } from '../support/apps/apps.ts';
import { ask, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startLinker, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { percentile } from '../support/paced-load.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROUTE = 'order.example.com';
const HOUR_MS = 3_600_000;
const CLIENTS = 300;

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE);
  const skews = [0, HOUR_MS, -HOUR_MS];
  nodes = await Promise.all(
    skews.map((skewMs, i) => startNode(redis.url, ['--id', `n${i}`], { NODE_OPTIONS: SKEWED_CLOCK, SKEW_MS: String(skewMs) })),
  );
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
});

test('clients at three nodes, whose clocks are an hour apart, are served in about the order in which they came', async () => {
  const arrivals = new Map<string, number>();
  const answers = [];
  for (let i = 0; i < CLIENTS; i++) {
    const { url } = nodes[i % nodes.length] as ClusterNode;
    arrivals.set(`c${i}`, performance.now());
    answers.push(ask(url, { host: ROUTE, path: '/id', method: 'POST', headers: { 'x-request-id': `c${i}` } }));
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  const held = async (): Promise<number> => (await state(nodes[0] as ClusterNode)).nodes.reduce((sum, node) => sum + node.held, 0);
  await eventually('all are held', async () => (await held()) === CLIENTS);
  const posts = `${ledger.starts}-posts`;
  const linker = { proxies: [(nodes[1] as ClusterNode).backend], route: ROUTE, concurrency: 2, app: COUNTING_APP };
  await startLinker(linker, { ...ledger.env(2), POSTS_FILE: posts });
  expect(statuses(await Promise.all(answers))).toEqual({ 200: CLIENTS });
  expect(ledger.lines(ledger.violations)).toEqual([]);

  // By how much the latest comer of all who were served before came later than this one.
  let latest = Number.NEGATIVE_INFINITY;
  const errors = ledger.lines(posts).map((id) => {
    const arrival = arrivals.get(id) as number;
    latest = Math.max(latest, arrival);
    return latest - arrival;
  });
  expect(errors).toHaveLength(CLIENTS);
  const [p50, p90, p99, max] = [50, 90, 99, 100].map((p) => Math.round(percentile(errors, p)));
  process.stderr.write(`overtaken by clients that came so much later, in ms: p50 ${p50}, p90 ${p90}, p99 ${p99}, max ${max}\n`);
  // If a clock counted, all clients of one node came before all of the next: half of them overtaken by a third of the whole time, or more.
  const times = [...arrivals.values()];
  expect(p50).toBeLessThan((Math.max(...times) - Math.min(...times)) / 6);
});

test('nobody takes a node for dead because of its clock', async () => {
  const { nodes: seen } = (await (await fetch(`${(nodes[2] as ClusterNode).admin}/api/v1/state`)).json()) as {
    nodes: { id: string; heartbeatAgeMs: number }[];
  };
  expect(seen.map(({ id }) => id)).toEqual(['n0', 'n1', 'n2']);
  for (const { heartbeatAgeMs } of seen) {
    expect(heartbeatAgeMs).toBeGreaterThanOrEqual(0);
    expect(heartbeatAgeMs).toBeLessThan(3_000);
  }
  expect(nodes.flatMap(({ logs }) => logs.filter(({ msg }) => String(msg).includes('stopped beating')))).toEqual([]);
});
