/** An application that becomes ready and then ends is not started over and over again; a healthy one that comes and goes quickly is. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FAILURES_MAX, RETRY_FIRST_MS } from '../../src/cluster/start-limits.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { type Mode, Versions } from '../support/versions.ts';

/** For how long clients ask, one after the other. */
const LOOKED_AT_MS = 12_000;
/** Pauses of 2 and 4 s fit into that time, each before one more start. One more may have been under way at the third failure. */
const STARTS_MAX = FAILURES_MAX + 1 + Math.floor(Math.log2(LOOKED_AT_MS / RETRY_FIRST_MS + 1));

let redis: RedisServer;
const versions = new Versions();

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.stop();
  versions.remove();
});

interface OneRoute {
  readonly node: ClusterNode;
  readonly route: string;
  /** What each run of the startup command wrote down. */
  starts(): readonly { readonly linkerPid: number }[];
}

/** A node and a scaler of its own, for as long as `use` takes. */
async function withRoute(route: string, linkerArgs: readonly string[], use: (cluster: OneRoute) => Promise<void>): Promise<void> {
  await setRoute(redis.url, route, 'maxInstances=1');
  const node = await startNode(redis.url, ['--id', route.replace(/\W/g, '')]);
  const ledger = new Ledger();
  const scaler = await startScaler(redis.url, { proxies: [node.backend], concurrency: 10, app: versions.app, args: linkerArgs }, ledger);
  try {
    // A job that another test has left waits for its next try, and this scaler takes it.
    const runs = () => ledger.lines(ledger.commands).map((line) => JSON.parse(line) as { ROUTE: string; linkerPid: number });
    await use({ node, route, starts: () => runs().filter(({ ROUTE }) => ROUTE === route) });
  } finally {
    await Promise.all([scaler.stop(), node.stop()]);
    ledger.remove();
  }
}

async function troubleOf({ node, route }: OneRoute) {
  return (await state(node)).routes.find(({ name }) => name === route)?.trouble ?? null;
}

function hasLeft({ node, route }: OneRoute): Promise<void> {
  return eventually('it has left', async () => (await state(node)).routes.find(({ name }) => name === route)?.instances.length === 0);
}

describe.each<[Mode, string]>([
  ['fades', 'ends 150 ms after it accepts'],
  ['dies', 'ends with its first request'],
  ['sighs', 'answers one request and ends'],
])('an application (%s) that %s', (mode) => {
  test('is started a few times, then after pauses; clients are told so at once, and operators why', async () => {
    versions.deploy('bad', mode);
    await withRoute(`${mode}.example.com`, [], async (cluster) => {
      const { node, route } = cluster;
      const answers: Awaited<ReturnType<typeof ask>>[] = [];
      const until = performance.now() + LOOKED_AT_MS;
      while (performance.now() < until) {
        answers.push(await ask(node.url, { host: route }));
        await delay(50);
      }
      expect(cluster.starts().length).toBeGreaterThanOrEqual(FAILURES_MAX);
      expect(cluster.starts().length).toBeLessThanOrEqual(STARTS_MAX);
      const refused = answers.find(({ status }) => status === 503);
      expect(refused?.headers['proxy-status']).toBe('pullproxy; error=destination_unavailable; details=start_failed');
      expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
      await eventually('it is said', async () => (await troubleOf(cluster)) !== null);
      const trouble = await troubleOf(cluster);
      expect(trouble?.failures).toBeGreaterThanOrEqual(FAILURES_MAX);
      expect(trouble?.reason).toMatch(/ended \d+\.\d s after it was ready: the application ended with code 1/);
      expect((await state(node)).troubles.filter((one) => one.route === route && one.code === 'starts_fail')).toHaveLength(1);
    });
  });
});

test('a healthy application that leaves as soon as it is idle is started whenever it is wanted', async () => {
  versions.deploy('good');
  await withRoute('quick.example.com', ['--idle-timeout', '100ms', '--old-idle-timeout', '100ms'], async (cluster) => {
    for (let round = 1; round <= FAILURES_MAX + 3; round++) {
      expect((await ask(cluster.node.url, { host: cluster.route })).status).toBe(200);
      expect(await troubleOf(cluster)).toBeNull();
      await hasLeft(cluster);
      expect(cluster.starts()).toHaveLength(round);
    }
  });
});

test('a healthy application whose instances are told to leave one after the other is started whenever it is wanted', async () => {
  versions.deploy('good');
  await withRoute('deployed.example.com', [], async (cluster) => {
    for (let round = 1; round <= FAILURES_MAX + 3; round++) {
      expect((await ask(cluster.node.url, { host: cluster.route })).status).toBe(200);
      process.kill(cluster.starts().at(-1)?.linkerPid ?? 0, 'SIGTERM');
      await hasLeft(cluster);
      expect(await troubleOf(cluster)).toBeNull();
      expect(cluster.starts()).toHaveLength(round);
    }
  });
});
