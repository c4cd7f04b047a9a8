/** The routes of a configuration file that are set only where nobody has said anything yet. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ClusterNode, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory, runCommand } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let node: ClusterNode;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

test('routes-once: a restart of the node leaves what operators have set and deleted, and sets what is new', async () => {
  const file = join(ownDirectory(), 'node.yaml');
  const write = (routes: object): void => writeFileSync(file, JSON.stringify({ 'routes-once': true, routes }));
  const become = (expected: object): Promise<void> =>
    eventually(`the routes are ${JSON.stringify(expected)}`, async () => {
      const found = await Promise.all(['a', 'b', 'c', 'd'].map(async (name) => [name, await settingsOf(name)] as const));
      const set = found.filter(([, settings]) => settings !== null);
      return JSON.stringify(Object.fromEntries(set)) === JSON.stringify(expected);
    });

  write({ a: { maxInstances: 2 }, b: { maxInstances: 2 }, c: { maxInstances: 2 } });
  node = await startNode(redis.url, ['--config', file]);
  await become({ a: { maxInstances: 2 }, b: { maxInstances: 2 }, c: { maxInstances: 2 } });
  await route('set', 'a', 'maxInstances=5');
  await route('delete', 'b');
  await node.stop();

  write({ a: { maxInstances: 3 }, b: { maxInstances: 3 }, c: { maxInstances: 3 }, d: { maxInstances: 3 } });
  node = await startNode(redis.url, ['--config', file]);
  await become({ a: { maxInstances: 5 }, c: { maxInstances: 2 }, d: { maxInstances: 3 } });
  await node.stop();
});

async function route(...words: string[]): Promise<void> {
  expect((await runCommand(['route', ...words, '--redis', redis.url])).code).toBe(0);
}

async function settingsOf(name: string): Promise<object | null> {
  const response = await fetch(`${node.admin}/api/v1/routes/${name}`);
  return response.ok ? ((await response.json()) as { settings: object | null }).settings : null;
}
