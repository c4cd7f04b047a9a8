/** New versions under load, where one instance is all that may be: good ones take over, bad ones leave the old one serving. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { SteadyLoad } from '../support/steady-load.ts';
import { Versions } from '../support/versions.ts';

const ROUTE = 'app.example.com';
const REQUESTS_PER_SECOND = 300;
/** Three starts that fail one after the other, with the pauses between them. */
const PATIENCE_MS = 120_000;

let redis: RedisServer;
let nodes: ClusterNode[];
let load: SteadyLoad;
const ledger = new Ledger();
const versions = new Versions();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, 'maxInstances=1', 'minInstances=1');
  nodes = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
  versions.deploy('v1');
  await startScaler(
    redis.url,
    {
      proxies: nodes.map(({ backend }) => backend),
      concurrency: 40,
      app: versions.app,
      args: ['--idle-timeout', '3s', '--old-idle-timeout', '500ms'],
    },
    ledger,
  );
  await eventually('v1 serves', async () => (await route())?.instances.some((one) => one.state === 'ready') === true, 30_000);
  load = new SteadyLoad((i) => (nodes[i % nodes.length] as ClusterNode).url, ROUTE, REQUESTS_PER_SECOND);
});

afterAll(async () => {
  await load?.stop();
  await redis?.stop();
  ledger.remove();
  versions.remove();
});

async function route() {
  return (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === ROUTE);
}

const restart = () => runCommand(['route', 'restart', ROUTE, '--redis', redis.url]);
const seen = (version: string): number => load.seen.get(version) ?? 0;

/** The version that answers now. */
async function serving(): Promise<string> {
  return (await ask(nodes[0]?.url ?? '', { host: ROUTE })).body;
}

/** Says all that failed where one number would say little. */
function expectNoFailure(): void {
  expect(load.failed === 0 ? 'no failure' : Object.fromEntries(load.seen)).toBe('no failure');
}

describe('a new version under 300 requests a second', () => {
  test('takes over when it is ready, and the old one is gone within its idle time', async () => {
    await eventually('v1 answers', () => seen('v1') > 300);
    versions.deploy('v2');
    const { code, stdout } = await restart();
    expect([code, stdout.trim()]).toEqual([0, `${ROUTE}: 1 instance is being replaced`]);
    await eventually('v2 answers', () => seen('v2') > 300, 30_000);
    await eventually('the old one is gone', async () => (await route())?.instances.length === 1, 10_000);
    const v1 = seen('v1');
    await eventually('v2 goes on', () => seen('v2') > 900, 10_000);
    expect(seen('v1')).toBe(v1);
    expectNoFailure();
  });

  test(
    'that ends at its start leaves the old one serving, is visible, and the next try replaces it by itself when it is repaired',
    async () => {
      versions.deploy('v3', 'exit');
      await restart();
      // One of them may have come too late to end in time.
      const areSeen = async (): Promise<boolean> => {
        const trouble = (await route())?.trouble;
        return trouble != null && trouble.failures >= 3 && trouble.reason.includes('ended before it was ready');
      };
      await eventually('its failures are seen', areSeen, PATIENCE_MS);
      const before = seen('v2');
      await eventually('v2 serves on', () => seen('v2') > before + 300, 10_000);
      expect(seen('v3')).toBe(0);
      versions.deploy('v4');
      await eventually('v4 answers', () => seen('v4') > 300, PATIENCE_MS);
      await eventually('nothing is wrong any more', async () => (await route())?.trouble === null);
      expectNoFailure();
    },
    3 * PATIENCE_MS,
  );

  test.each(['breaks', 'dies'] as const)(
    'that accepts and %s leaves the old one serving, and is visible',
    async (mode) => {
      await eventually('the deployment before is over', async () => (await route())?.instances.length === 1, 20_000);
      const version = await serving();
      versions.deploy(`bad ${mode}`, mode);
      const asked = await fetch(`${nodes[0]?.admin}/api/v1/routes/${ROUTE}/start`, { method: 'POST' });
      expect(asked.status).toBe(202);
      await eventually(
        'it is seen',
        async () => (await route())?.trouble?.reason.includes('fails its first requests') === true,
        PATIENCE_MS,
      );
      const before = seen(version);
      await eventually('the old one serves on', () => seen(version) > before + 600, 10_000);
      versions.deploy(`after ${mode}`);
      await eventually('the bad one is gone', async () => (await route())?.instances.length === 1, PATIENCE_MS);
      expectNoFailure();
    },
    3 * PATIENCE_MS,
  );
});
