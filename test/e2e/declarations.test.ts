/** What an operator said is there after the loss of Redis, and of all nodes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { type ClusterNode, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

jest.setTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-state-'));
let redis: RedisServer;
const nodes: ClusterNode[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function node(...args: string[]): Promise<ClusterNode> {
  const started = await startNode(redis.url, args);
  nodes.push(started);
  return started;
}

async function list(): Promise<string> {
  return (await runCommand(['route', 'list', '--redis', redis.url])).stdout;
}

test('a Redis that is restarted empty has all settings again, and no request meets an unknown route', async () => {
  const a = await node('--id', 'a');
  await node('--id', 'b', '--state-dir', directory);
  for (const args of [
    ['set', 'app.test', 'maxInstances=2', 'minInstances=0', 'holdTimeout=1s'],
    ['set', 'old.test', 'maxHeld=3'],
    ['delete', 'old.test'],
  ]) {
    expect(await runCommand(['route', ...args, '--redis', redis.url])).toMatchObject({ code: 0 });
  }
  const before = await list();
  expect(before).toBe('app.test  holdTimeout=1s  minInstances=0  maxInstances=2\n');
  await redis.kill();
  await redis.restart();
  await eventually('restored', async () => (await list()) === before);
  // Nobody serves it: it is held and then sent away, but known.
  expect((await ask(a.url, { host: 'app.test' })).status).toBe(503);
});

test('a Redis and all nodes may be lost when one of them kept its state in a directory', async () => {
  const before = await list();
  for (const one of nodes) one.kill('SIGKILL');
  await Promise.all(nodes.map(({ exit }) => exit));
  await redis.kill();
  await redis.restart();
  expect(await list()).toBe('');
  await node('--state-dir', directory);
  await eventually('restored', async () => (await list()) === before);
});
