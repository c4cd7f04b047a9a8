/** A client at one node, the only linker at another. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, metric, setRoute, startLinker, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import type { Running } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

let redis: RedisServer;
let b: ClusterNode;
const ledger = new Ledger();
const servers: Server[] = [];

beforeAll(async () => {
  redis = await startRedis();
  b = await startNode(redis.url, ['--id', 'b']);
});

afterAll(async () => {
  for (const server of servers) server.close();
  await redis?.stop();
  ledger.remove();
});

function linkerAtB(route: string): Promise<Running> {
  return startLinker({ proxies: [b.backend], route, concurrency: 4, app: COUNTING_APP }, ledger.env(4));
}

describe('the linker can dial the node that holds the client', () => {
  test('its slots move there, nothing is relayed', async () => {
    const a = await startNode(redis.url, ['--id', 'a']);
    await setRoute(redis.url, 'moved.example.com');
    const linker = await linkerAtB('moved.example.com');
    expect((await ask(a.url, { host: 'moved.example.com' })).status).toBe(200);
    const answers = await crowd(100, () => a.url, { host: 'moved.example.com', path: '/slow?ms=10' });
    expect(statuses(answers)).toEqual({ 200: 100 });
    expect(await metric(b, 'pullproxy_handoffs_total', { result: 'moved' })).toBeGreaterThan(0);
    expect(await metric(b, 'pullproxy_handoffs_total', { result: 'relayed' })).toBe(0);
    expect(ledger.lines(ledger.violations)).toEqual([]);
    await linker.stop();
    await a.stop();
  });

  test('a node that learns of the route only by a linker elsewhere serves it, too', async () => {
    const a = await startNode(redis.url, ['--id', 'a']);
    const linker = await linkerAtB('unconfigured.example.com');
    expect((await ask(a.url, { host: 'unconfigured.example.com' })).status).toBe(200);
    await linker.stop();
    await a.stop();
  });
});

describe('the linker cannot dial the node that holds the client', () => {
  test('the node that has the link relays', async () => {
    const door = await doorForRelaysOnly();
    const a = await startNode(redis.url, ['--id', 'a', '--advertise', door.address]);
    door.leadsTo(a.backend);
    await setRoute(redis.url, 'relayed.example.com');
    const linker = await linkerAtB('relayed.example.com');
    const answer = await ask(a.url, { host: 'relayed.example.com', path: '/headers' });
    expect(answer.status).toBe(200);
    const body = 'x'.repeat(1_000_000);
    const echo = await ask(a.url, { host: 'relayed.example.com', path: '/echo', method: 'POST', body });
    expect(echo.body === body).toBe(true);
    const answers = await crowd(50, () => a.url, { host: 'relayed.example.com', path: '/slow?ms=10' });
    expect(statuses(answers)).toEqual({ 200: 50 });
    expect(await metric(b, 'pullproxy_handoffs_total', { result: 'relayed' })).toBeGreaterThan(0);
    expect(ledger.lines(ledger.violations)).toEqual([]);
    await eventually('the slots are back at b', async () => (await ask(b.url, { host: 'relayed.example.com' })).status === 200);
    await linker.stop();
    await a.stop();
  });
});

/** A way to a node's backend port that lets relaying nodes pass and closes on linkers, as a firewall between networks would. */
async function doorForRelaysOnly() {
  let target = '';
  const server = createServer((near) => {
    near.once('data', (hello: Buffer) => {
      if (!hello.includes('"relay":true')) {
        near.destroy();
        return;
      }
      const far = connect(Number(target.split(':')[1]), '127.0.0.1');
      far.write(hello);
      near.pipe(far).pipe(near);
      far.on('error', () => near.destroy());
      near.on('error', () => far.destroy());
    });
    near.on('error', () => {});
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    leadsTo(backend: string) {
      target = backend;
    },
  };
}
