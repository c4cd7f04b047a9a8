/** Redis' clock is set an hour forward and an hour back, while nodes, a scaler and linkers run. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { Ledger, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type SkewedRedis, startSkewedRedis } from '../support/redis-processes.ts';

const HOUR_SECONDS = 3_600;
/** A start that waits for a clock would take an hour. */
const START_MS_MAX = 50_000;
const KEY_MS_MAX = 600_000;

let redis: SkewedRedis;
let ledger: Ledger;

beforeEach(async () => {
  redis = await startSkewedRedis();
  ledger = new Ledger();
});

afterEach(async () => {
  await redis?.stop();
  ledger?.remove();
});

test.each([
  ['an hour forward', 0, HOUR_SECONDS],
  ['two hours back', HOUR_SECONDS, -HOUR_SECONDS],
])('when Redis’ clock is set %s, requests, handoffs and starts go on, and nothing lives for an hour more', async (name, from, to) => {
  redis.setClock(from);
  const nodes = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
  const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  const linker = { proxies: [a.backend], concurrency: 1, app: COUNTING_APP };
  const scaler = await startScaler(redis.url, linker, ledger);
  const host = (which: string): string => `${which}-${name.replaceAll(' ', '-')}.example.com`;
  for (const which of ['warm', 'cold', 'held']) await setRoute(redis.url, host(which), 'maxInstances=1');
  const served = async (node: typeof a, which: string, path = '/'): Promise<boolean> =>
    (await ask(node.url, { host: host(which), path })).status === 200;
  await eventually('it is warm', () => served(a, 'warm'), START_MS_MAX);
  await eventually('so is the one for which clients will be held', () => served(a, 'held'), START_MS_MAX);

  const slow = ask(a.url, { host: host('held'), path: '/slow?ms=1500' });
  await eventually('its slot is in use', async () =>
    (await state(a)).routes.some(({ name, active }) => name === host('held') && active === 1),
  );
  const held = served(b, 'held');
  redis.setClock(to);
  const [seconds] = (await redis.client.time()) as unknown as [string];
  expect(Math.abs(Number(seconds) - Date.now() / 1_000 - to)).toBeLessThan(60);

  expect(await served(a, 'warm')).toBe(true);
  expect((await slow).status).toBe(200);
  expect(await held).toBe(true);
  const since = performance.now();
  await eventually('another route is started', () => served(b, 'cold'), START_MS_MAX);
  expect(performance.now() - since).toBeLessThan(START_MS_MAX);
  await eventually('both nodes are there, each route with its instance', async () => {
    const { nodes: living, routes } = await state(b);
    return living.length === 2 && routes.length === 3 && routes.every(({ instances }) => instances.length === 1);
  });
  // What is counted or charted is kept for longer.
  const soft = /:(nodes|peers|held|holders|promised|free|serving|instances|starting|begun|jobs|limiter|stalled-check)$/;
  const keys = (await redis.client.keys('*')).filter((key) => soft.test(key));
  expect(keys.length).toBeGreaterThan(5);
  for (const key of keys) expect([key, (await redis.client.pttl(key)) < KEY_MS_MAX]).toEqual([key, true]);
  await scaler.stop();
  await Promise.all(nodes.map((node) => node.stop()));
});
