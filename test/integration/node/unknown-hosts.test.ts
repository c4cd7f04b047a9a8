/** Host names come from strangers: whatever they ask for, nothing is kept, nothing is started, and questions are bounded. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { ask } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeCluster } from '../../support/harness/fake-cluster.ts';
import {
  CountingApp,
  closeAll,
  dialRawLinker,
  expectQuiet,
  ROUTE,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

afterEach(async () => {
  closeClients();
  await closeAll();
});

test('10,000 random hosts are answered 404, start nothing and leave nothing behind', async () => {
  const started: string[] = [];
  const one = await startSomeNode({ startNeeded: (route) => started.push(route), routes: { '*.example.com': {} } });
  await askForHosts(one, 5_000);
  const before = heapBytes();
  await askForHosts(one, 5_000);
  expect([started, one.node.held, [...one.node.routes.all()].length]).toEqual([[], 0, 1]);
  expect(one.node.frontDoor.unrouted.codes).toEqual(new Map([[404, 10_000]]));
  expect(heapBytes() - before).toBeLessThan(1_000_000);
}, 30_000);

/** On 20 connections that are kept, 25 requests at a time. */
async function askForHosts(one: SomeNode, count: number): Promise<void> {
  const lane = async (): Promise<void> => {
    const client = await connectClient(one.port);
    for (let asked = 0; asked < count / 20; asked += 25) {
      const request = (): string => `GET / HTTP/1.1\r\nHost: ${Math.random().toString(36).slice(2)}.example.org\r\n\r\n`;
      client.send(Array.from({ length: 25 }, request).join(''));
      for (let answered = 0; answered < 25; answered++) expect((await client.response()).status).toBe(404);
    }
    client.end();
    await client.ended();
  };
  await Promise.all(Array.from({ length: 20 }, lane));
}

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('a host that this node does not know', () => {
  test('is looked up under all names that may serve it, and refused when nobody does', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    expect((await ask(one.url, { host: 'a.example.com:8080' })).status).toBe(404);
    expect(cluster.lookups).toEqual([['a.example.com', '*.example.com', '*.com', '*']]);
  });

  test('is held for the linker that another node has, and not looked up again', async () => {
    const cluster = new FakeCluster();
    cluster.answerLookup = async () => '*.example.com';
    const one = await startSomeNode({ cluster: () => cluster });
    const clients = [await connectClient(one.port), await connectClient(one.port)];
    for (const [i, client] of clients.entries()) {
      client.send(`GET / HTTP/1.1\r\nHost: h${i}.example.com\r\n\r\n`);
      await eventually('it is held', () => cluster.holds.size === i + 1);
    }
    expect([cluster.lookups.length, [...cluster.holds.values()].map(({ route }) => route)]).toEqual([
      1,
      ['*.example.com', '*.example.com'],
    ]);
  });

  test('whose linker is at another node is served from there', async () => {
    const directory = new MemoryDirectory();
    const app = await CountingApp.listen();
    const [a, b] = [await startSomeNode({ id: 'a', directory }), await startSomeNode({ id: 'b', directory })];
    await startSomeLinker(b, app, { concurrency: 3 });
    expect((await ask(a.url, { host: ROUTE })).status).toBe(200);
    expect((await ask(a.url, { host: 'other.example.com' })).status).toBe(404);
    await expectQuiet(a, 1);
    await expectQuiet(b, 2);
  });

  test('is refused when the directory can not be asked', async () => {
    const cluster = new FakeCluster();
    cluster.answerLookup = () => Promise.reject(new Error('away'));
    const one = await startSomeNode({ cluster: () => cluster });
    expect((await ask(one.url, { host: ROUTE })).status).toBe(404);
    expect(one.lines.some(({ msg }) => msg === 'could not look up a route')).toBe(true);
  });

  test('is forgotten when its client goes before there is a response', async () => {
    const cluster = new FakeCluster();
    const { promise, resolve } = Promise.withResolvers<string | null>();
    cluster.answerLookup = () => promise;
    const one = await startSomeNode({ cluster: () => cluster });
    const client = await connectClient(one.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await eventually('it is looked up', () => cluster.lookups.length === 1);
    client.reset();
    await eventually('it is counted', () => one.node.frontDoor.unrouted.codes.get(499) === 1);
    resolve(ROUTE);
    await promise;
    await expectQuiet(one);
    expect(cluster.held).toBe(0);
  });
});

test('at most 1,000 hosts are looked up at once; the next one is refused without a question', async () => {
  const cluster = new FakeCluster();
  const { promise, resolve } = Promise.withResolvers<string | null>();
  cluster.answerLookup = () => promise;
  const one = await startSomeNode({ cluster: () => cluster });
  const clients = await Promise.all(Array.from({ length: 1_000 }, () => connectClient(one.port)));
  for (const [i, client] of clients.entries()) client.send(`GET / HTTP/1.1\r\nHost: h${i}.example.com\r\n\r\n`);
  await eventually('all are looked up', () => cluster.lookups.length === 1_000);
  expect((await ask(one.url, { host: 'one-more.example.com' })).status).toBe(404);
  expect(cluster.lookups.length).toBe(1_000);
  resolve(null);
  for (const client of clients) expect((await client.response()).status).toBe(404);
  expect((await ask(one.url, { host: 'one-more.example.com' })).status).toBe(404);
  expect(cluster.lookups.length).toBe(1_001);
});

test('a route that was known by its linker alone is asked for again when its linker has been gone for a while', async () => {
  const cluster = new FakeCluster();
  const one = await startSomeNode({ cluster: () => cluster });
  const linker = await dialRawLinker(one.backendPort);
  linker.link.link.close('for the test');
  await eventually('it is gone', () => one.node.routes.get(ROUTE)?.slots.lenders.length === 0);
  const route = one.node.routes.get(ROUTE);
  expect(one.node.routes.match(ROUTE)).toBe(route);
  if (route !== undefined) route.standing.knownUntil = 0;
  expect((await ask(one.url, { host: ROUTE })).status).toBe(404);
  expect(cluster.lookups.length).toBe(1);
});
