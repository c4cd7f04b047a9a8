/** A pause is a barrier over all nodes: real processes, a real Redis, clients that keep coming. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { type ClusterNode, metric, SECRET, setRoute, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, runCommand, startProcess } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { SteadyLoad } from '../support/steady-load.ts';

jest.setTimeout(240_000);

const ROUTE = 'paused.test';
/** 500 were tried by hand. A machine that is busy with other tests can not serve so many, and clients would wait for too long. */
const PER_SECOND = 200;
const PAUSED_MS = 10_000;

/** What its handlers do, and nothing else: a request is in flight from its head to the end of its response. */
const seen = { inFlight: 0, total: 0 };
let slow: ((response: ServerResponse) => void) | null = null;
const app = createServer((_request, response) => {
  seen.inFlight++;
  seen.total++;
  response.once('close', () => seen.inFlight--);
  if (slow !== null) slow(response);
  else setTimeout(() => response.end('served'), 5);
});
let redis: RedisServer;
const nodes: ClusterNode[] = [];
const linkers: Running[] = [];

beforeAll(async () => {
  redis = await startRedis();
  await once(app.listen(0, '127.0.0.1'), 'listening');
  for (const id of ['a', 'b', 'c']) nodes.push(await startNode(redis.url, ['--id', id]));
  await setRoute(redis.url, ROUTE, 'holdTimeout=5s', 'maxHeld=20000', 'maxInstances=5');
  for (const { backend } of nodes) {
    const { port } = app.address() as AddressInfo;
    const args = ['linker', '--proxy', backend, '--route', ROUTE, '--concurrency', '8', '--app', `127.0.0.1:${port}`];
    linkers.push(await startProcess(args, { env: { PULLPROXY_SECRET: SECRET } }));
  }
});
afterAll(async () => {
  await Promise.all([...linkers, ...nodes].map((running) => running.stop()));
  await redis.stop();
  app.closeAllConnections();
  app.close();
});

const route = (...args: string[]) => runCommand(['route', ...args, '--redis', redis.url]);

test('nothing is in flight from the return of the command on, nobody is refused, and a killed node takes only its own connections', async () => {
  // Only the last one of the three is killed. What fails there is counted for itself.
  const [steady, doomed] = [
    new SteadyLoad((i) => (nodes[i % 2] as ClusterNode).url, ROUTE, (PER_SECOND * 2) / 3),
    new SteadyLoad(() => (nodes[2] as ClusterNode).url, ROUTE, PER_SECOND / 3),
  ];
  await eventually('the load flows', () => seen.total > PER_SECOND, 60_000);
  const paused = await route('pause', ROUTE, '--for', '60s', '--wait', '30s');
  const [inFlight, total] = [seen.inFlight, seen.total];
  expect(paused).toMatchObject({ code: 0, stderr: '' });
  expect(paused.stdout).toContain('nothing is in flight');
  expect(inFlight).toBe(0);
  const begun = performance.now();
  await eventually('clients are held', async () => (await state(nodes[0] as ClusterNode)).nodes.some(({ held }) => held > 100));
  expect(await metric(nodes[0] as ClusterNode, 'pullproxy_paused', { route: ROUTE })).toBe(1);
  expect((await state(nodes[0] as ClusterNode)).troubles.map(({ code }) => code)).toContain('paused');
  const failedBefore = doomed.failed;
  nodes[2]?.kill('SIGKILL');
  await eventually('the pause has lasted', () => performance.now() - begun >= PAUSED_MS, 60_000);
  expect([seen.inFlight, seen.total]).toEqual([0, total]);
  expect(failedBefore).toBe(0);
  expect(await route('resume', ROUTE)).toMatchObject({ code: 0 });
  await eventually('it goes on', () => seen.total > total + PER_SECOND, 60_000);
  await Promise.all([steady.stop(), doomed.stop()]);
  // Their holdTimeout is 5 s, and they were held for 10.
  expect([...steady.seen.keys()]).toEqual(['served']);
  expect(steady.failed).toBe(0);
  expect(seen.inFlight).toBe(0);
});

test('what is in flight after --wait is said with its node, and the code is 3; an unknown route is none', async () => {
  const held: ServerResponse[] = [];
  slow = (response) => held.push(response);
  const open = ask((nodes[0] as ClusterNode).url, { host: ROUTE });
  await eventually('it is at work', () => held.length === 1);
  const waited = await route('pause', ROUTE, '--wait', '500ms', '--for', '30s');
  expect(waited).toMatchObject({ code: 3 });
  expect(waited.stderr).toMatch(/node [abc]: 1 request in flight/);
  for (const response of held) response.end('late');
  slow = null;
  expect(await route('pause', ROUTE, '--for', '30s')).toMatchObject({ code: 0 });
  expect(await route('resume', ROUTE)).toMatchObject({ code: 0 });
  expect((await open).body).toBe('late');
  expect(await route('pause', 'nobody.test')).toMatchObject({ code: 1 });
  expect(await route('resume', ROUTE)).toMatchObject({ code: 1 });
});

test('a pause outlives the restart of a node and of Redis, and ends by itself', async () => {
  const [a] = nodes as [ClusterNode];
  expect(await route('pause', ROUTE, '--for', '20s')).toMatchObject({ code: 0 });
  await redis.kill();
  await redis.restart();
  await eventually('Redis has it again', async () => (await state(a)).routes.some(({ name }) => name === ROUTE), 30_000);
  const again = await startNode(redis.url, ['--id', 'd']);
  nodes.push(again);
  await eventually('the new node knows', async () => (await metric(again, 'pullproxy_paused', { route: ROUTE })) === 1);
  const total = seen.total;
  const held = ask(a.url, { host: ROUTE });
  await eventually('it is over', async () => (await metric(a, 'pullproxy_paused', { route: ROUTE })) === 0, 60_000);
  expect((await held).body).toBe('served');
  expect(seen.total).toBe(total + 1);
});
