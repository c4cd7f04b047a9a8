/** Requests that prefer an instance find it at every node, and take another one rather than wait for long. Two nodes, real linkers, a real Redis. */
import { once } from 'node:events';
import { type ClientHttp2Session, createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pino from 'pino';
import type { Directory } from '../../../src/cluster/directory.ts';
import { createRedisCluster } from '../../../src/cluster/redis/open.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';
import { ask } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  ROUTE,
  type SomeLinker,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../support/harness/some-nodes.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const silent = pino({ level: 'silent' });

let redis: RedisServer;
let directory: Directory;
let nodes: SomeNode[];
const apps: Http2Server[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

beforeEach(async () => {
  const observer = new Redis(redis.url);
  await observer.flushall();
  observer.disconnect();
  nodes = [await node('n1'), await node('n2')];
});
afterEach(async () => {
  closeClients();
  closeHttp2();
  await closeAll();
  for (const app of apps.splice(0)) app.close();
});

function node(id: string): Promise<SomeNode> {
  return startSomeNode({
    id,
    cluster: (address) => {
      const made = createRedisCluster({ url: redis.url, self: { id, address }, version: '0', log: silent });
      directory = made.directory;
      return made.cluster;
    },
  });
}

async function set(record: RouteRecord): Promise<void> {
  await nodes[0]?.node.cluster.setRoute(ROUTE, record);
  await eventually('both nodes have the settings', () =>
    nodes.every(({ node: one }) => one.routes.get(ROUTE)?.affinity?.waitMs === one.routes.get(ROUTE)?.settings.affinityWaitMs),
  );
}

interface Named extends SomeLinker {
  readonly name: string;
  /** Ends the requests to `/slow`. */
  release(): void;
}

/** Its application answers with the name, and a request to `/slow` when it is told to. */
async function instance(name: string, at: SomeNode, concurrency = 2): Promise<Named> {
  const app = await CountingApp.listen();
  const slow: (() => void)[] = [];
  app.on('/', (_request, response) => response.end(name));
  app.on('/slow', (_request, response) => slow.push(() => response.end(name)));
  app.onUpgrade((socket) => socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n${name}`));
  const linker = await startSomeLinker(at, app, { instance: name, concurrency, idleTimeoutMs: 600_000, oldIdleTimeoutMs: 600_000 });
  return { ...linker, name, release: () => void slow.splice(0).map((end) => end()) };
}

async function instances(...names: string[]): Promise<Named[]> {
  const all: Named[] = [];
  for (const [i, name] of names.entries()) all.push(await instance(name, nodes[i % 2] as SomeNode));
  await known(...names);
  return all;
}

/** Both nodes know them. */
async function known(...names: string[]): Promise<void> {
  await eventually('both nodes know the instances', async () => {
    await Promise.all(nodes.map(({ node: one }) => one.cluster.isAwake(ROUTE)));
    return nodes.every(({ node: one }) => names.every((name) => one.routes.get(ROUTE)?.affinity?.knows(name) !== false));
  });
}

const get = (i: number, headers: Record<string, string>, path = '/') => ask((nodes[i] as SomeNode).url, { host: ROUTE, path, headers });

function counted(): { hit: number; miss: number; gone: number } {
  const sum = { hit: 0, miss: 0, gone: 0 };
  for (const { node: one } of nodes) {
    const { hit, miss, gone } = one.routes.get(ROUTE)?.counters.affinity ?? { hit: 0, miss: 0, gone: 0 };
    sum.hit += hit;
    sum.miss += miss;
    sum.gone += gone;
  }
  return sum;
}

const cookieOf = (headers: { 'set-cookie'?: string[] | undefined }): string | undefined => headers['set-cookie']?.[0]?.split(';')[0];

describe.each<[string, RouteRecord, (user: string) => Record<string, string>]>([
  ['a header', { affinity: 'header:X-User' }, (user) => ({ 'X-User': user })],
  ['a cookie', { affinity: 'cookie:sid' }, (user) => ({ Cookie: `a=b; sid=${user}` })],
])('a route whose requests prefer an instance by %s', (_what, record, as) => {
  test('gives each value one instance at both nodes, and several share the values', async () => {
    await set({ ...record, affinityWait: '2s' });
    await instances('i1', 'i2', 'i3');
    const served = new Map<string, Set<string>>();
    for (let round = 0; round < 4; round++) {
      for (let user = 0; user < 6; user++) {
        const { body } = await get(round % 2, as(`user${user}`));
        served.set(`user${user}`, (served.get(`user${user}`) ?? new Set()).add(body));
      }
    }
    expect([...served.values()].map(({ size }) => size)).toEqual(Array.from({ length: 6 }, () => 1));
    expect(new Set([...served.values()].flatMap((names) => [...names])).size).toBeGreaterThan(1);
    expect(counted()).toEqual({ hit: 24, miss: 0, gone: 0 });
  }, 30_000);
});

describe('a client whose instance is busy', () => {
  test('waits for it while another one is idle, and is served by it when it comes free', async () => {
    await set({ affinity: 'header:X-User', affinityWait: '10s' });
    const all = [await instance('i1', nodes[0] as SomeNode, 1), await instance('i2', nodes[0] as SomeNode, 1)];
    await known('i1', 'i2');
    const own = (await get(0, { 'X-User': 'alice' })).body;
    const busy = get(0, { 'X-User': 'alice' }, '/slow');
    await eventually('it is busy', () => nodes[0]?.node.active === 1);
    const waits = [get(0, { 'X-User': 'alice' }), get(1, { 'X-User': 'alice' })];
    await eventually('both wait', () => nodes.every(({ node: one }) => one.held === 1));
    expect((await get(0, {})).body).not.toBe(own);
    for (const one of all) one.release();
    expect((await Promise.all([busy, ...waits])).map(({ body }) => body)).toEqual([own, own, own]);
    expect(counted()).toEqual({ hit: 4, miss: 0, gone: 0 });
  }, 20_000);

  test('takes another one after the set time', async () => {
    await set({ affinity: 'header:X-User', affinityWait: '150ms' });
    const all = [await instance('i1', nodes[0] as SomeNode, 1), await instance('i2', nodes[1] as SomeNode, 1)];
    await known('i1', 'i2');
    const own = (await get(0, { 'X-User': 'alice' })).body;
    const busy = get(0, { 'X-User': 'alice' }, '/slow');
    await eventually('it is busy', () => nodes[0]?.node.active === 1);
    const began = performance.now();
    const { body } = await get(0, { 'X-User': 'alice' });
    expect(body).not.toBe(own);
    expect(performance.now() - began).toBeGreaterThan(140);
    expect(performance.now() - began).toBeLessThan(2_000);
    for (const one of all) one.release();
    await busy;
    expect(counted()).toEqual({ hit: 2, miss: 1, gone: 0 });
  }, 20_000);

  test('takes another one at once when its instance leaves', async () => {
    await set({ affinity: 'header:X-User', affinityWait: '30s' });
    const all = [await instance('i1', nodes[0] as SomeNode, 1), await instance('i2', nodes[0] as SomeNode, 1)];
    await known('i1', 'i2');
    const own = (await get(0, { 'X-User': 'alice' })).body;
    const busy = get(0, { 'X-User': 'alice' }, '/slow');
    await eventually('it is busy', () => nodes[0]?.node.active === 1);
    const waits = get(0, { 'X-User': 'alice' });
    await eventually('it waits', () => nodes[0]?.node.held === 1);
    all.find(({ name }) => name === own)?.linker.drain();
    expect((await waits).body).not.toBe(own);
    for (const one of all) one.release();
    await busy;
  }, 20_000);

  test('does not pass one who is held for longer than the set time', async () => {
    await set({ affinity: 'header:X-User', affinityWait: '200ms', maxInstances: 1 });
    const only = await instance('i1', nodes[0] as SomeNode, 1);
    const order: string[] = [];
    await get(0, { 'X-User': 'first' });
    const busy = get(0, {}, '/slow');
    await eventually('it is busy', () => nodes[0]?.node.active === 1);
    const other = get(0, {}).then(() => order.push('other'));
    await eventually('one is held', () => nodes[0]?.node.held === 1);
    await new Promise((resolve) => setTimeout(resolve, 250));
    const prefers = get(0, { 'X-User': 'alice' }).then(() => order.push('prefers'));
    await eventually('both wait', () => nodes[0]?.node.held === 2);
    only.release();
    await Promise.all([busy, other, prefers]);
    expect(order).toEqual(['other', 'prefers']);
  }, 20_000);

  test('that goes away leaves nothing behind', async () => {
    await set({ affinity: 'header:X-User', affinityWait: '30s' });
    const only = await instance('i1', nodes[0] as SomeNode, 1);
    await get(0, { 'X-User': 'a' });
    const busy = get(0, {}, '/slow');
    await eventually('it is busy', () => nodes[0]?.node.active === 1);
    const client = await connectClient((nodes[0] as SomeNode).port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\nX-User: alice\r\n\r\n`);
    await eventually('it waits', () => nodes[0]?.node.held === 1);
    closeClients();
    await eventually('it is gone', () => nodes[0]?.node.held === 0);
    expect([...(nodes[0]?.node.routes.get(ROUTE)?.affinity?.lines.all ?? [])]).toEqual([]);
    only.release();
    await busy;
  }, 20_000);
});

describe('a cookie of pullproxy', () => {
  async function sticky(): Promise<Named[]> {
    await set({ affinity: 'set-cookie', affinityWait: '2s' });
    return instances('i1', 'i2');
  }

  /** A cookie for that instance: at its home nobody else has slots at first. */
  async function cookieFor({ name }: Named): Promise<string> {
    const { headers, body } = await get(name === 'i1' ? 0 : 1, {});
    expect(body).toBe(name);
    return cookieOf(headers) as string;
  }

  test('leads back to the instance at both nodes, by HTTP/1.1, HTTP/2 and WebSocket, and is said once', async () => {
    const all = await sticky();
    const cookies = await Promise.all(all.map(cookieFor));
    for (const [at, one] of all.entries()) {
      const cookie = cookies[at] as string;
      expect(cookie).toMatch(/^pullproxy-[0-9a-f]{8}=[\w-]{16}$/);
      for (const i of [0, 1, 0, 1]) {
        const { body, headers } = await get(i, { Cookie: cookie });
        expect([body, headers['set-cookie']]).toEqual([one.name, undefined]);
      }
      for (const i of [0, 1]) {
        const session = connectHttp2((nodes[i] as SomeNode).url);
        const answer = await askHttp2(session, { ':authority': ROUTE, cookie });
        expect([answer.text, answer.headers['set-cookie']]).toEqual([one.name, undefined]);
        const client = await connectClient((nodes[i] as SomeNode).port);
        client.send(
          `GET /chat HTTP/1.1\r\nHost: ${ROUTE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nCookie: ${cookie}\r\n\r\n`,
        );
        await client.takeThrough(`\r\n\r\n${one.name}`);
      }
    }
  }, 40_000);

  test('is given to clients of HTTP/2 and WebSocket, and over https only for https', async () => {
    await sticky();
    const session = connectHttp2((nodes[0] as SomeNode).url);
    const { headers } = await askHttp2(session, { ':authority': ROUTE });
    expect(headers['set-cookie']).toEqual([expect.stringMatching(/^pullproxy-[0-9a-f]{8}=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax$/)]);
    const client = await connectClient((nodes[0] as SomeNode).port);
    client.send(`GET /chat HTTP/1.1\r\nHost: ${ROUTE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n`);
    expect((await client.takeThrough('\r\n\r\n')).toLowerCase()).toContain('set-cookie: pullproxy-');
  }, 20_000);

  test('is given by a route whose application speaks HTTP/2, and leads back there', async () => {
    await set({ affinity: 'set-cookie', affinityWait: '2s', protocol: 'h2c' });
    for (const [i, name] of ['i1', 'i2'].entries()) {
      const app = createServer((_request, response) => response.end(name)).listen(0, '127.0.0.1');
      await once(app, 'listening');
      const { port } = app.address() as AddressInfo;
      await startSomeLinker(nodes[i] as SomeNode, { port }, { instance: name, idleTimeoutMs: 600_000, oldIdleTimeoutMs: 600_000 });
      apps.push(app);
    }
    await known('i1', 'i2');
    const sessions = nodes.map(({ url }) => connectHttp2(url));
    const first = await askHttp2(sessions[0] as ClientHttp2Session, { ':authority': ROUTE });
    const cookie = cookieOf(first.headers) as string;
    expect(cookie).toMatch(/^pullproxy-/);
    for (const session of sessions) {
      const { text, headers } = await askHttp2(session, { ':authority': ROUTE, cookie });
      expect([text, headers['set-cookie']]).toEqual([first.text, undefined]);
    }
  }, 20_000);

  test.each<[string, (name: string, tag: string) => string]>([
    ['forged', (name) => `${name}=AAAAAAAAAAAAAAAA`],
    ['the id of an instance', (name) => `${name}=i1`],
    ['empty', (name) => `${name}=`],
    ['too long', (name, tag) => `${name}=${tag}${'x'.repeat(5_000)}`],
    ['nonsense', () => ';;==,; =;\u00ff'],
  ])(
    'that is %s is replaced by a good one',
    async (_what, forge) => {
      await sticky();
      const [name = '', tag = ''] = (cookieOf((await get(0, {})).headers) as string).split('=');
      const { status, headers } = await get(1, { Cookie: forge(name, tag) });
      expect([status, cookieOf(headers)]).toEqual([200, expect.stringMatching(/^pullproxy-[0-9a-f]{8}=[\w-]{16}$/)]);
    },
    20_000,
  );

  test('that is said several times counts by the first one that names an instance', async () => {
    const all = await sticky();
    const one = all[1] as Named;
    const cookie = await cookieFor(one);
    const [name] = cookie.split('=');
    expect((await get(1, { Cookie: `${name}=AAAAAAAAAAAAAAAA; ${cookie}; ${name}=zzz` })).body).toBe(one.name);
    const many = `${`${name}=AAAAAAAAAAAAAAAA; `.repeat(300)}${cookie}`;
    expect((await get(1, { Cookie: many })).status).toBe(200);
  }, 20_000);

  test('of an instance that has left is forgotten, and another one is given', async () => {
    const all = await sticky();
    const [gone, stays] = all as [Named, Named];
    const cookie = await cookieFor(gone);
    gone.linker.drain();
    await gone.exit;
    await eventually('the directory has heard', async () =>
      (await directory.snapshot()).routes.every(({ instances: some }) => some.length === 1),
    );
    for (const i of [0, 1]) {
      const began = performance.now();
      const { body, headers } = await get(i, { Cookie: cookie });
      expect([body, cookieOf(headers)]).toEqual([stays.name, expect.not.stringContaining(cookie)]);
      expect(performance.now() - began).toBeLessThan(1_500);
    }
    expect(counted().gone).toBeGreaterThan(0);
  }, 20_000);

  test('leads to the instance at a node that has just started', async () => {
    const all = await sticky();
    const one = all[0] as Named;
    const cookie = await cookieFor(one);
    nodes.push(await node('n3'));
    await eventually('it knows the route', () => nodes[2]?.node.routes.get(ROUTE)?.affinity != null);
    expect((await get(2, { Cookie: cookie })).body).toBe(one.name);
  }, 20_000);
});

test('a route without affinity keeps nothing of it', async () => {
  await nodes[0]?.node.cluster.setRoute(ROUTE, {});
  await instances('i1');
  const { headers } = await get(0, { Cookie: 'pullproxy-00000000=AAAAAAAAAAAAAAAA' });
  expect(headers['set-cookie']).toBeUndefined();
  expect(nodes[0]?.node.routes.get(ROUTE)?.affinity).toBeNull();
});
