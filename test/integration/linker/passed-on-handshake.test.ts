/** Somebody who can write to Redis names himself as a node, and passes what a linker says on to a real one: he gets no link. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import type { Running } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const ROUTE = 'app.example.com';
const APP = `require('node:http').createServer((_, response) => response.end('hello')).listen(process.env.PORT)`;

let redis: RedisServer;
let client: Redis;
let home: ClusterNode;
let other: ClusterNode;
let linker: Running;
const sockets: Socket[] = [];

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  [home, other] = await Promise.all([startNode(redis.url, ['--id', 'home']), startNode(redis.url, ['--id', 'other'])]);
  linker = await startLinker({ proxies: [home.backend], route: ROUTE, concurrency: 2, app: [process.execPath, '-e', APP] });
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  client?.disconnect();
  await Promise.all([linker?.stop(), home?.stop(), other?.stop()]);
  await redis?.stop();
});

test('a linker that is moved to an address of a stranger, who passes all on to a node, lends nothing there', async () => {
  let dialled = 0;
  let over = 0;
  const [host, port] = other.backend.split(':');
  const stranger = createServer((near) => {
    dialled++;
    const far = connect(Number(port), host as string);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) sockets.push(socket.on('error', () => {}));
    near.on('close', () => {
      over++;
      far.destroy();
    });
    far.on('close', () => near.destroy());
  }).listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const address = `127.0.0.1:${(stranger.address() as AddressInfo).port}`;

  await client.publish('pp:node:home', JSON.stringify({ t: 'want', route: ROUTE, count: 1, asker: { id: 'other', address } }));
  const refusal = await linker.logged(({ msg, address: said }) => msg === 'a node can not be linked' && said === address);
  expect(refusal.reason).toContain(`the linker dialled ${address}, which is not the address of node other`);
  await eventually('it is hung up', () => dialled > 0 && over === dialled);
  expect(other.logs.some(({ msg }) => msg === 'linker linked')).toBe(false);
  stranger.close();

  // Both slots still serve.
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(home.url, { host: ROUTE })));
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
  // A real address leads there.
  await client.publish(
    'pp:node:home',
    JSON.stringify({ t: 'want', route: ROUTE, count: 1, asker: { id: 'other', address: other.backend } }),
  );
  await other.logged(({ msg }) => msg === 'linker linked');
});
