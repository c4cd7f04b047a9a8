import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { ask, crowd, statuses } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeCluster } from '../../support/harness/fake-cluster.ts';
import {
  CountingApp,
  closeAll,
  dialRawLinker,
  expectQuiet,
  ROUTE,
  startSomeLinker,
  startSomeNode,
} from '../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';

const GET = `GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;
const routes = { [ROUTE]: {} };

afterEach(async () => {
  closeClients();
  await closeAll();
});

describe('a node that drains', () => {
  test('says so to its linkers and gives idle slots back at once', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(3);
    await expectQuiet(one, 3);
    const drained = one.node.drain(5_000);
    await eventually('the linker has its slots', () => linker.returned === 3);
    expect(linker.said[0]).toBe('go away');
    await drained;
    await eventually('the linker hears that the link is over', () => linker.said.at(-1)?.startsWith('down') === true);
    expect(cluster.stopped).toBe(true);
    await expect(dialRawLinker(one.backendPort)).rejects.toThrow('ECONNREFUSED');
    await expect(ask(one.url, { host: ROUTE })).rejects.toThrow('ECONNREFUSED');
  });

  test('serves who is held before it gives a slot back, and ends when the last response is there', async () => {
    const one = await startSomeNode({ routes });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(1);
    await expectQuiet(one, 1);
    const [first, second] = [await connectClient(one.port), await connectClient(one.port)];
    first.send(GET);
    await eventually('the first is served', () => linker.opened.length === 1);
    second.send(GET.replace('/', '/second'));
    await eventually('the second is held', () => one.node.held === 1);
    let over = false;
    const drained = one.node.drain(5_000).then(() => {
      over = true;
    });
    linker.opened[0]?.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    await eventually('the second is served', () => linker.paths.includes('/second'));
    expect([linker.returned, over]).toEqual([0, false]);
    linker.opened[1]?.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    for (const client of [first, second]) {
      const answer = await client.response();
      expect([answer.status, answer.values('connection')]).toEqual([200, ['close']]);
      client.end();
    }
    await drained;
    expect(linker.returned).toBe(1);
  });

  test('is given slots for those whom it holds, wherever they lie, and loses nobody', async () => {
    const directory = new MemoryDirectory();
    const app = await CountingApp.listen();
    app.on('/slow', (_request, response) => void setTimeout(() => response.end(), 5));
    const [leaving, other] = [
      await startSomeNode({ id: 'leaving', directory, routes }),
      await startSomeNode({ id: 'other', directory, routes }),
    ];
    const held = crowd(50, () => leaving.url, { host: ROUTE, path: '/slow', method: 'POST', body: 'x' });
    await eventually('they are held', () => leaving.node.held === 50);
    const drained = leaving.node.drain(8_000);
    await startSomeLinker(other, app, { concurrency: 2 });
    expect(statuses(await held)).toEqual({ 200: 50 });
    await drained;
    await expectQuiet(other, 2);
    expect(app.most).toBeLessThanOrEqual(2);
  });

  test('serves whom it holds by slots that come free at the linker while it leaves, though no other node is there', async () => {
    const one = await startSomeNode({ routes });
    const { linker } = await startSomeLinker(one, await CountingApp.listen(), { concurrency: 1 });
    await linker.control.limitTo(0);
    const answer = ask(one.url, { host: ROUTE });
    await eventually('it is held', () => one.node.held === 1);
    const drained = one.node.drain(60_000);
    await linker.control.limitTo(1);
    expect((await answer).status).toBe(200);
    await drained;
  });

  test('closes idle connections, and those of clients that keep theirs with their current answer', async () => {
    const one = await startSomeNode({ routes });
    const idle = await connectClient(one.port);
    idle.send(GET.replace(ROUTE, 'unknown.example.com'));
    expect((await idle.response()).status).toBe(404);
    const drained = one.node.drain(5_000);
    expect(await idle.ended()).toBe('fin');
    idle.end();
    await drained;
  });

  test('tells who is still held after the deadline to come again, and cuts off what still runs', async () => {
    const one = await startSomeNode({ routes });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(1);
    await expectQuiet(one, 1);
    const [running, held] = [await connectClient(one.port), await connectClient(one.port)];
    running.send(GET);
    await eventually('one runs', () => linker.opened.length === 1);
    held.send(GET);
    await eventually('one is held', () => one.node.held === 1);
    const drained = one.node.drain(100);
    const answer = await held.response();
    expect([answer.status, answer.values('retry-after')]).toEqual([503, ['1']]);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=draining']);
    await drained;
    await running.ended();
    expect(running.unread.length).toBe(0);
    await expectQuiet(one);
  });

  test('lets all who asked for it wait until it is over', async () => {
    const one = await startSomeNode({ routes });
    const client = await connectClient(one.port);
    client.send(GET);
    await eventually('it is held', () => one.node.held === 1);
    const order: string[] = [];
    const both = [one.node.drain(200).then(() => order.push('first')), one.node.drain(0).then(() => order.push('second'))];
    await client.response();
    order.push('answered');
    client.end();
    await Promise.all(both);
    expect(order[0]).toBe('answered');
  });

  test('welcomes no new slots but for who is held, and does not keep them', async () => {
    const one = await startSomeNode({ routes });
    const client = await connectClient(one.port);
    client.send(GET);
    await eventually('it is held', () => one.node.held === 1);
    const drained = one.node.drain(5_000);
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(4);
    await eventually('the client is served, the other slots are back', () => linker.opened.length === 1 && linker.returned === 3);
    expect(linker.said).toEqual(['go away']);
    linker.opened[0]?.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    expect((await client.response()).status).toBe(200);
    client.end();
    await drained;
    expect(linker.returned).toBe(4);
  });
});

test('a node that is stopped while it drains is over when all is closed, for whoever waits', async () => {
  const cluster = new FakeCluster();
  const { promise, resolve } = Promise.withResolvers<void>();
  cluster.stop = () => promise;
  const one = await startSomeNode({ cluster: () => cluster, routes });
  const client = await connectClient(one.port);
  client.send(GET);
  await eventually('it is held', () => one.node.held === 1);
  let over = 0;
  const waiting = [one.node.drain(60_000), one.node.stop(), one.node.stop()].map((end) => end.then(() => over++));
  await client.ended();
  await expectQuiet(one);
  expect(over).toBe(0);
  resolve();
  await Promise.all(waiting);
});

test('a node that can not have a port leaves nothing open', async () => {
  const cluster = new FakeCluster();
  const taken = await startSomeNode();
  let bound = '';
  const starting = startSomeNode({
    cluster: (at) => {
      bound = at;
      return cluster;
    },
    ports: [0, taken.port],
  });
  await expect(starting).rejects.toThrow('EADDRINUSE');
  expect(cluster.stopped).toBe(true);
  await expect(dialRawLinker(Number(bound.split(':')[1]))).rejects.toThrow('ECONNREFUSED');
});
