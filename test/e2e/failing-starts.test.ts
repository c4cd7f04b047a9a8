/** An application that does not start: nobody waits in vain for long, it is visible why, and it heals by itself. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ask, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, metric, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { Versions } from '../support/versions.ts';

const ROUTE = 'app.example.com';

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();
const versions = new Versions();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, 'holdTimeout=10m', 'maxInstances=2');
  nodes = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
  const linker = { proxies: nodes.map(({ backend }) => backend), concurrency: 50, app: versions.app, args: ['--idle-timeout', '4s'] };
  await startScaler(redis.url, linker, ledger);
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
  versions.remove();
});

const node = (i: number): string => (nodes[i % nodes.length] as ClusterNode).url;

async function trouble() {
  return (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === ROUTE)?.trouble;
}

describe('an application that ends at its start', () => {
  test('costs its clients seconds, not the ten minutes that they would be held: 503, and when to come again', async () => {
    versions.deploy('bad', 'exit');
    const answers = await crowd(40, node, { host: ROUTE });
    expect(statuses(answers)).toEqual({ 503: 40 });
    for (const { headers } of answers) {
      expect(headers['proxy-status']).toBe('pullproxy; error=destination_unavailable; details=start_failed');
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(await trouble()).toMatchObject({ reason: expect.stringContaining('ended before it was ready') });
    expect((await trouble())?.failures).toBeGreaterThanOrEqual(3);
  });

  test('is not started for each that comes meanwhile: they are answered at once', async () => {
    await eventually('it is in a pause', async () => ((await trouble())?.retryInMs ?? 0) > 1_500, 30_000);
    const before = ledger.lines(ledger.commands).length;
    const answers = await crowd(20, node, { host: ROUTE });
    expect(statuses(answers)).toEqual({ 503: 20 });
    expect(ledger.lines(ledger.commands)).toHaveLength(before);
  });

  test('is tried again by itself, and serves when it is repaired', async () => {
    versions.deploy('good');
    await eventually(
      'an instance is there',
      async () =>
        (await metric(nodes[0] as ClusterNode, 'pullproxy_instances', { route: ROUTE })) +
          (await metric(nodes[1] as ClusterNode, 'pullproxy_instances', { route: ROUTE })) ===
        1,
      60_000,
    );
    // Its link may be there before its slots, and until then clients are sent away.
    const isServed = async (): Promise<boolean> => statuses(await crowd(2, node, { host: ROUTE }))[200] === 2;
    await eventually('both nodes serve it', isServed, 60_000);
    const answers = await crowd(40, node, { host: ROUTE });
    expect(statuses(answers)).toEqual({ 200: 40 });
    expect(await trouble()).toBeNull();
  });
});

test('of a cold start the response says where its time went, and so do log and metrics', async () => {
  await eventually('no instance is left', async () => (await state(nodes[0] as ClusterNode)).routes[0]?.instances.length === 0, 20_000);
  const answer = await ask(node(1), { host: ROUTE });
  const warm = await ask(node(1), { host: ROUTE });
  expect(warm.headers['server-timing']).toBeUndefined();
  const timing = String(answer.headers['server-timing']);
  const stages = [...timing.matchAll(/pullproxy-(\w+);dur=([\d.]+)/g)].map(([, stage]) => stage);
  expect(stages).toEqual(['job', 'command', 'linked', 'ready', 'first_byte']);
  const line = await (nodes[1] as ClusterNode).logged(
    ({ msg, coldStartMs }) => msg === 'served after a cold start' && Object.keys(coldStartMs ?? {}).length === stages.length,
  );
  expect(line).toMatchObject({ route: ROUTE, coldStartMs: { command: expect.any(Number), first_byte: expect.any(Number) } });
  for (const stage of stages) {
    const labels = { route: ROUTE, stage: String(stage) };
    expect(await metric(nodes[1] as ClusterNode, 'pullproxy_cold_start_stage_seconds_count', labels)).toBeGreaterThan(0);
  }
});
