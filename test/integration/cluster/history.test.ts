/** The history of real nodes, at the admin port of any of them. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { History } from '../../../src/admin/history.ts';
import { COUNTING_APP } from '../../support/apps/apps.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

jest.setTimeout(90_000);

/** The running bucket is written every ten seconds. */
const WRITTEN_MS = 30_000;

let redis: RedisServer;
let a: ClusterNode;
let b: ClusterNode;

beforeAll(async () => {
  redis = await startRedis();
  [a, b] = await Promise.all([startNode(redis.url, ['--id', 'a']), startNode(redis.url, ['--id', 'b'])]);
  await startLinker({ proxies: [a.backend, b.backend], route: 'app.test', concurrency: 5, app: COUNTING_APP });
});
afterAll(async () => {
  await Promise.all([a.stop(), b.stop()]);
  await redis.stop();
});

async function history(node: ClusterNode, route?: string): Promise<History> {
  const query = route === undefined ? '' : `?route=${encodeURIComponent(route)}`;
  return (await (await fetch(`${node.admin}/api/v1/history${query}`)).json()) as History;
}

function sum({ points }: History, code: string): number {
  return points.reduce((total, { responses }) => total + (responses[code] ?? 0), 0);
}

test('has what all nodes have counted, at a route and in sum, also when one of them was killed', async () => {
  for (let i = 0; i < 20; i++) expect((await ask(a.url, { host: 'app.test' })).status).toBe(200);
  for (let i = 0; i < 10; i++) expect((await ask(b.url, { host: 'app.test', path: '/slow?ms=150' })).status).toBe(200);
  for (let i = 0; i < 3; i++) expect((await ask(b.url, { host: 'nobody.test' })).status).toBe(404);
  await eventually('all are counted', async () => sum(await history(b, 'App.test'), '2xx') === 30, WRITTEN_MS);
  await eventually('in sum', async () => sum(await history(a), '4xx') === 3, WRITTEN_MS);
  a.kill('SIGKILL');
  const left = await history(b, 'app.test');
  expect(left).toMatchObject({ route: 'app.test', bucketMs: 30_000 });
  expect(sum(left, '2xx')).toBe(30);
  expect(sum(left, '4xx')).toBe(0);
  expect(sum(await history(b), '2xx')).toBe(30);
  const slowest = left.points.reduce((most, { p99Ms }) => Math.max(most, p99Ms ?? 0), 0);
  expect(slowest).toBeGreaterThan(140);
  expect(left.points.some(({ slots }) => slots >= 5)).toBe(true);
  for (const { at, ms } of left.points) {
    expect(at % 30_000).toBe(0);
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThanOrEqual(30_000);
  }
  a = await startNode(redis.url, ['--id', 'a']);
});

test('of a name that is none says so; of a route that nobody knows is empty', async () => {
  const bad = await fetch(`${b.admin}/api/v1/history?route=${encodeURIComponent('no name')}`);
  expect([bad.status, await bad.json()]).toMatchObject([400, { error: { code: 'invalid_settings' } }]);
  expect((await fetch(`${b.admin}/api/v1/history?rout=x`)).status).toBe(400);
  expect((await history(b, 'unknown.test')).points).toEqual([]);
});

test('while Redis is away the history is not known, which is said', async () => {
  await redis.kill();
  await eventually('it is away', async () => (await fetch(`${b.admin}/api/v1/history?route=other.test`)).status === 503);
  await redis.restart();
  await eventually('it is back', async () => (await fetch(`${b.admin}/api/v1/history?route=third.test`)).status === 200, WRITTEN_MS);
});
