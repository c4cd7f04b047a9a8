/** An application never sees more requests at once than it asked for, whatever comes from wherever. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP, SINGLE_THREADED_APP } from '../support/apps/apps.ts';
import { crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startLinker, startNode, startScaler } from '../support/cluster.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

let redis: RedisServer;
let nodes: ClusterNode[];

beforeAll(async () => {
  redis = await startRedis();
  nodes = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id])));
});

afterAll(() => redis?.stop());

const node = (i: number): string => (nodes[i % nodes.length] as ClusterNode).url;

describe.each([
  ['a Node application', COUNTING_APP, 8],
  ['a single-threaded Python server', SINGLE_THREADED_APP, 1],
])('500 clients at three nodes against %s', (_name, app, concurrency) => {
  test('are all answered by one linker at one node, which never gets more than its concurrency', async () => {
    const ledger = new Ledger();
    const route = `one-${concurrency}.example.com`;
    await setRoute(redis.url, route);
    const linker = await startLinker({ proxies: [(nodes[1] as ClusterNode).backend], route, concurrency, app }, ledger.env(concurrency));
    const answers = await crowd(500, node, (i) => ({ host: route, path: i % 5 === 0 ? '/slow?ms=20' : '/' }));
    expect(statuses(answers)).toEqual({ 200: 500 });
    expect(ledger.lines(ledger.violations)).toEqual([]);
    expect(await linker.stop()).toEqual({ code: 0, signal: null });
    ledger.remove();
  });

  test('are all answered from zero with no more startup commands than needed', async () => {
    const ledger = new Ledger();
    const route = `zero-${concurrency}.example.com`;
    await setRoute(redis.url, route, 'maxInstances=3');
    const scaler = await startScaler(
      redis.url,
      { proxies: nodes.map(({ backend }) => backend), concurrency, app, args: ['--idle-timeout', '2s'] },
      ledger,
    );
    const answers = await crowd(500, node, (i) => ({ host: route, path: i % 5 === 0 ? '/slow?ms=20' : '/' }));
    expect(statuses(answers)).toEqual({ 200: 500 });
    expect(ledger.lines(ledger.violations)).toEqual([]);
    expect(ledger.lines(ledger.commands).length).toBeLessThanOrEqual(3);
    expect(await scaler.stop()).toEqual({ code: 0, signal: null });
    ledger.remove();
  });
});
