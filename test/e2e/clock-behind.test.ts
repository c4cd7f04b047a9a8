/** The newest instance is the one that came last, whatever the clock of its host says. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SKEWED_CLOCK } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, startLinker, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { Versions } from '../support/versions.ts';

let redis: RedisServer;
const versions = new Versions();

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.stop();
  versions.remove();
});

const skewed = (ms: number) => ({ NODE_OPTIONS: SKEWED_CLOCK, SKEW_MS: String(ms) });

describe.each([
  ['in a cluster', () => redis.url],
  ['at a node by itself', () => null],
])('%s', (_what, url) => {
  test('a new version on a host whose clock is ten minutes behind takes over, and the old one leaves', async () => {
    const route = 'app.example.com';
    const nodes: ClusterNode[] = await Promise.all((url() === null ? ['a'] : ['a', 'b']).map((id) => startNode(url(), ['--id', id])));
    const start = (version: string, skewMs: number) => {
      versions.deploy(version);
      const args = ['--old-idle-timeout', '500ms'];
      const linker = { proxies: nodes.map(({ backend }) => backend), route, concurrency: 4, app: versions.app, args };
      return startLinker(linker, skewed(skewMs));
    };
    const serves = async (version: string): Promise<boolean> => {
      const answers = await Promise.all(nodes.map((node) => ask(node.url, { host: route })));
      return answers.every(({ headers }) => headers['x-version'] === version);
    };
    const old = await start('ahead', 600_000);
    await eventually('it serves', () => serves('ahead'));
    const next = await start('behind', -600_000);
    await eventually('the new version serves at every node', () => serves('behind'));
    expect(await old.exit).toEqual({ code: 0, signal: null });
    const last = await start('right', 0);
    await eventually('and the next one, with the right clock', () => serves('right'));
    expect(await next.exit).toEqual({ code: 0, signal: null });
    const numbers = await Promise.all(
      nodes.map(async (node) => (await state(node)).routes.find(({ name }) => name === route)?.instances[0]?.seq),
    );
    expect(new Set(numbers).size).toBe(1);
    await last.stop();
    await Promise.all(nodes.map((node) => node.stop()));
  });
});
