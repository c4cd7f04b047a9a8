/** The metrics of a real node keep Prometheus' conventions. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../../support/apps/apps.ts';
import { crowd, statuses } from '../../support/clients.ts';
import { type ClusterNode, metric, startLinker, startNode } from '../../support/cluster.ts';
import type { Running } from '../../support/processes.ts';

const ROUTE = 'app.test';
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
if (!hasPromtool && process.env.CI === 'true') throw new Error('the tests need promtool (Debian: prometheus)');

let node: ClusterNode;
let linker: Running;
beforeAll(async () => {
  node = await startNode(null);
  linker = await startLinker({ proxies: [node.backend], route: ROUTE, concurrency: 2, app: COUNTING_APP });
});
afterAll(async () => {
  linker.kill('SIGKILL');
  await node.stop();
});

test('requests are counted by their duration, in buckets that grow', async () => {
  expect(statuses(await crowd(4, () => node.url, { host: ROUTE, path: '/slow?ms=30' }))).toEqual({ 200: 4 });
  const text = await (await fetch(`${node.admin}/metrics`)).text();
  const buckets = text
    .split('\n')
    .filter((line) => line.startsWith('pullproxy_request_seconds_bucket'))
    .map((line) => Number(line.split(' ').at(-1)));
  expect(buckets).toHaveLength(15);
  expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
  expect(buckets.at(-1)).toBe(await metric(node, 'pullproxy_request_seconds_count', { route: ROUTE }));
  expect(text).toMatch(/^pullproxy_build_info\{version="\d+\.\d+\.\d+",nodeversion="\d+\.\d+\.\d+"\} 1$/m);
});

(hasPromtool ? test : test.skip)('promtool check metrics finds nothing', async () => {
  const input = await (await fetch(`${node.admin}/metrics`)).text();
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  expect([status, stdout + stderr]).toEqual([0, '']);
});
