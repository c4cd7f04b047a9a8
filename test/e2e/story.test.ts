/**
 * The story of the README, for real: a request arrives for an application that does not run, a crowd comes, nine instances
 * serve it, the crowd leaves and they leave one after the other; the next request starts one again.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, metric, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROUTE = 'example.com';
const CONCURRENCY = 10;

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, 'maxInstances=9');
  nodes = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id])));
  const idle = ['--idle-timeout', '8s', '--old-idle-timeout', '4s'];
  const linker = { proxies: nodes.map(({ backend }) => backend), concurrency: CONCURRENCY, app: COUNTING_APP, args: idle };
  await Promise.all([1, 2].map(() => startScaler(redis.url, linker, ledger, ['--rate', '50/1s', '--parallel', '4'])));
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
});

const node = (i: number): string => (nodes[i % nodes.length] as ClusterNode).url;

async function instances(): Promise<readonly { readonly id: string; readonly seq: number }[]> {
  return (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === ROUTE)?.instances ?? [];
}

describe('from zero, to the crowd, and back', () => {
  test('300 clients at once are all answered by nine instances, none of which sees more than it can take', async () => {
    const answers = await crowd(300, node, { host: ROUTE, path: '/slow?ms=300' });
    expect(statuses(answers)).toEqual({ 200: 300 });
    expect(ledger.lines(ledger.violations)).toEqual([]);
    expect(ledger.lines(ledger.commands)).toHaveLength(9);
    // The others may have served them all before the last one has started.
    await eventually('all nine have started', () => ledger.lines(ledger.starts).length === 9, 40_000);
  });

  test('when the crowd has left, the newest instance is the last to leave, and then there is none', async () => {
    const newest = Math.max(...(await instances()).map(({ seq }) => seq));
    await eventually('one instance is left', async () => (await instances()).length === 1, 40_000);
    expect((await instances())[0]?.seq).toBe(newest);
    await eventually('no instance is left', async () => (await instances()).length === 0, 40_000);
  });

  test('the next request starts one again', async () => {
    ledger.reset();
    const answer = await ask(node(1), { host: ROUTE });
    expect(answer).toMatchObject({ status: 200, body: 'ok' });
    expect(ledger.lines(ledger.commands)).toHaveLength(1);
    expect(await metric(nodes[1] as ClusterNode, 'pullproxy_cold_start_seconds_count')).toBeGreaterThan(0);
  });

  test('a warm request costs no Redis command', async () => {
    const before = await metric(nodes[1] as ClusterNode, 'pullproxy_redis_commands_total');
    const startedAt = performance.now();
    for (let i = 0; i < 500; i++) expect((await ask(node(1), { host: ROUTE })).status).toBe(200);
    const seconds = (performance.now() - startedAt) / 1_000;
    const commands = (await metric(nodes[1] as ClusterNode, 'pullproxy_redis_commands_total')) - before;
    // What beats once a second costs is allowed: some commands a second, not one a request.
    expect(commands).toBeLessThan(20 + seconds * 20);
  });
});

describe('strangers', () => {
  test('an unknown host is answered 404 and starts nothing', async () => {
    ledger.reset();
    const answer = await ask(node(0), { host: 'nobody.example.org' });
    expect(answer.status).toBe(404);
    expect(answer.headers['proxy-status']).toBe('pullproxy; error=destination_not_found');
    expect(ledger.lines(ledger.commands)).toEqual([]);
  });
});
