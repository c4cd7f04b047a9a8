/** Starts whose instance comes after they were given up: an image that could not be pulled for minutes, a machine that was full. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { type ClusterNode, SECRET, setRoute, startLinker, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { startProcess } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const APP = ['node', new URL('../../deploy/examples/demo-app.mjs', import.meta.url).pathname];

let redis: RedisServer;
let node: ClusterNode;

beforeAll(async () => {
  redis = await startRedis();
  node = await startNode(redis.url, ['--id', 'a']);
});
afterAll(async () => {
  await redis?.stop();
});

async function routeOf(name: string) {
  return (await state(node)).routes.find((route) => route.name === name);
}

async function ready(route: string, count: number): Promise<void> {
  await eventually(`${count} are ready`, async () => {
    const there = (await routeOf(route))?.instances.filter((one) => one.state === 'ready') ?? [];
    return there.length === count;
  });
}

test('what comes late and all at once does not exceed maxInstances: the others end with a code of their own', async () => {
  const route = 'full.example.com';
  await setRoute(redis.url, route, 'maxInstances=2');
  const args = ['linker', '--proxy', node.backend, '--route', route, '--concurrency', '1', '--idle-timeout', '5m', '--', ...APP];
  const late = ['late1', 'late2', 'late3', 'late4'].map(async (id) => {
    const env = { PULLPROXY_SECRET: SECRET, PULLPROXY_START_ID: id };
    // One that is turned away may end before it was ready.
    return startProcess(args, { env }).then(
      ({ exit }) => exit.then(({ code }) => String(code)),
      (error: Error) => /ended with (\d+)/.exec(error.message)?.[1] ?? error.message,
    );
  });
  const codes: string[] = [];
  for (const end of late) void end.then((code) => codes.push(code));
  await eventually('two have been turned away', () => codes.length === 2, 30_000);
  await ready(route, 2);
  expect((await ask(node.url, { host: route })).status).toBe(200);
  expect(codes).toEqual(['75', '75']);
});

test('an instance whose scheduler can’t pass the start’s id on is that of the oldest start', async () => {
  const route = 'nameless.example.com';
  // The scheduler takes every start, and nothing comes of it by itself.
  await startProcess(['scaler', '--redis', redis.url, '--', 'true']);
  await setRoute(redis.url, route, 'maxInstances=1', 'startTimeout=5m', 'holdTimeout=1m');
  const asked = ask(node.url, { host: route });
  await eventually('a start is under way', async () => (await routeOf(route))?.starts.length === 1);
  await startLinker({ proxies: [node.backend], route, concurrency: 5, app: APP });
  expect((await asked).status).toBe(200);
  await ready(route, 1);
  expect(await routeOf(route)).toMatchObject({ starting: 0, starts: [] });
});
