/** Clients that are held, over real sockets. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { parseRouteSettings, type RouteRecord } from '../../../../src/config/route-settings.ts';
import { ResetCode } from '../../../../src/link/frames.ts';
import type { Stream } from '../../../../src/link/stream.ts';
import { PART_READ_BYTES } from '../../../../src/memory/reused-reads.ts';
import { ask } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeCluster } from '../../../support/harness/fake-cluster.ts';
import {
  CountingApp,
  closeAll,
  dialRawLinker,
  expectQuiet,
  ROUTE,
  type SomeNode,
  type SomeNodeOptions,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(async () => {
  closeClients();
  await closeAll();
});

function get(path = '/', route = ROUTE): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${route}\r\n\r\n`;
}

async function hold(one: SomeNode, request = get()): Promise<RawSocket> {
  const before = one.node.held;
  const client = await connectClient(one.port);
  client.send(request);
  await eventually('it is held', () => one.node.held === before + 1);
  return client;
}

describe('a client is refused with 503, Retry-After and the reason', () => {
  const padding = `X-Padding: ${'x'.repeat(2_000)}\r\n`;
  test.each<[string, SomeNodeOptions, RouteRecord]>([
    ['the route holds as many clients as it may', {}, { maxHeld: 2 }],
    ['the node holds as many clients as it may', { heldMax: 2 }, {}],
    ['the route holds as many bytes as it may', { heldBytesMax: 10_000 }, {}],
  ])('when %s', async (_name, options, settings) => {
    const one = await startSomeNode({ ...options, routes: { [ROUTE]: settings } });
    const request = get().replace('\r\n\r\n', `\r\n${padding}\r\n`);
    const clients = [await hold(one, request), await hold(one, request)];
    const third = await connectClient(one.port);
    third.send(request);
    const answer = await third.response();
    expect([answer.status, answer.values('retry-after')]).toEqual([503, ['1']]);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=queue_full']);
    clients[0]?.reset();
    await eventually('there is a place', () => one.node.held === 1);
    await hold(one, request);
    expect(one.node.held).toBe(2);
  });

  test('when the node holds as many bytes as it may, over all routes', async () => {
    const routes = { a: {}, b: {}, c: {} };
    const one = await startSomeNode({ heldBytesMax: 10_000, routes });
    const request = (route: string): string => get('/', route).replace('\r\n\r\n', `\r\n${padding}\r\n`);
    for (const route of ['a', 'a', 'b', 'b']) await hold(one, request(route));
    const client = await connectClient(one.port);
    client.send(request('c'));
    expect((await client.response()).status).toBe(503);
  });

  test('when the cluster holds as many as it may', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster, routes: { [ROUTE]: {} } });
    const client = await hold(one);
    const [id] = cluster.holds.keys();
    cluster.listener?.onHoldRefused(ROUTE, id as string);
    cluster.listener?.onHoldRefused(ROUTE, id as string);
    const answer = await client.response();
    expect([answer.status, answer.values('retry-after')]).toEqual([503, ['1']]);
    await expectQuiet(one);
    expect(cluster.holds.size).toBe(0);
  });

  test('when nobody came in time', async () => {
    const one = await startSomeNode({ routes: { [ROUTE]: { holdTimeout: '150ms' } } });
    const answer = await ask(one.url, { host: ROUTE });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5']);
    expect(answer.headers['proxy-status']).toBe('pullproxy; error=connection_timeout; details=hold_timeout');
    await expectQuiet(one);
  });
});

test('the bodies of held requests are read no further when they keep as many bytes as they may, and whole when a slot is there', async () => {
  const heldBytesMax = 100_000;
  const one = await startSomeNode({ heldBytesMax, routes: { [ROUTE]: {} } });
  const [rounds, clients]: [number, RawSocket[]] = [15, []];
  for (let i = 0; i < 20; i++)
    clients.push(await hold(one, `POST /${i} HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: ${rounds * 1_000}\r\n\r\n`));
  const bytes = (): number => one.node.routes.get(ROUTE)?.held.bytes ?? 0;
  for (let i = 0; i < rounds; i++) {
    for (const client of clients) client.send('x'.repeat(1_000));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // A route may have half of it, and nothing is read that would be too much.
  await eventually('they keep as much as they may', () => bytes() > heldBytesMax / 2 - PART_READ_BYTES);
  expect(bytes()).toBeLessThanOrEqual(heldBytesMax / 2);
  const app = await CountingApp.listen();
  await startSomeLinker(one, app, { concurrency: 20 });
  for (const client of clients) expect((await client.response('POST')).status).toBe(200);
  expect(bytes()).toBe(0);
});

test('a deadline that is changed while clients are held counts for them, too', async () => {
  const one = await startSomeNode({ routes: { [ROUTE]: { holdTimeout: '1h' } } });
  const client = await hold(one);
  one.node.clusterEvents.onRoutes(new Map([[ROUTE, parseRouteSettings({ holdTimeout: '50ms' })]]));
  expect((await client.response()).status).toBe(503);
  await expectQuiet(one);
});

describe('a client that leaves while it is held', () => {
  test.each<[string, (client: RawSocket) => void]>([
    ['by closing', (client) => client.end()],
    ['by breaking off', (client) => client.reset()],
  ])('%s, is not served, and nothing of it stays', async (_name, leave) => {
    const app = await CountingApp.listen();
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster, routes: { [ROUTE]: {} } });
    leave(await hold(one));
    await expectQuiet(one);
    leave(await hold(one, `POST / HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(40_000)}`));
    await expectQuiet(one);
    expect(cluster.holds.size).toBe(0);
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(2);
    await expectQuiet(one, 2);
    expect([linker.opened.length, app.requests]).toEqual([0, 0]);
  });

  test('in a crowd of 2,000, in any order, leaves the others their places', async () => {
    const one = await startSomeNode({ routes: { [ROUTE]: {} } });
    const clients: RawSocket[] = [];
    for (let i = 0; i < 2_000; i++) {
      const client = await connectClient(one.port);
      client.send(get(`/${i}`));
      clients.push(client);
    }
    await eventually('all are held', () => one.node.held === 2_000);
    const stay = clients.filter((client) => {
      if (Math.random() < 0.5) return true;
      client.reset();
      return false;
    });
    await eventually('half have left', () => one.node.held === stay.length);
    const linker = await dialRawLinker(one.backendPort, { concurrency: 10_000 });
    linker.link.grant(stay.length);
    await eventually('the others are served', () => linker.opened.length === stay.length);
    expect(linker.paths).toEqual(stay.map((client) => `/${clients.indexOf(client)}`));
    for (const client of clients) client.reset();
    await expectQuiet(one, stay.length);
  });
});

describe('a linker that is killed while it serves, and others are held', () => {
  test('costs nobody the place: the oldest is served first by the next linker, also what can not be sent twice but did not go out', async () => {
    const served: string[] = [];
    const app = await CountingApp.listen();
    const handler = (path: string): unknown =>
      app.on(path, (_request, response) => {
        served.push(path);
        response.end();
      });
    const paths = ['/first', '/second', '/third', '/fourth'];
    for (const path of paths) handler(path);
    const one = await startSomeNode({ routes: { [ROUTE]: {} } });
    const dying = await dialRawLinker(one.backendPort, { instance: 'dying' });
    dying.link.grant(1);
    await expectQuiet(one, 1);
    const answers = [ask(one.url, { host: ROUTE, path: '/first' })];
    await eventually('the first is at the linker', () => dying.opened.length === 1);
    for (const [i, path] of paths.slice(1).entries()) {
      answers.push(ask(one.url, { host: ROUTE, path, method: 'POST', body: 'x' }));
      await eventually('it is held', () => one.node.held === i + 1);
    }
    dying.link.link.socket.destroy();
    await eventually('all four are held', () => one.node.held === 4);
    await startSomeLinker(one, app, { concurrency: 1 });
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(served).toEqual(paths);
    await expectQuiet(one, 1);
  });

  test('or refuses because its application does not accept, leaves a request that can not be repeated at its place', async () => {
    const one = await startSomeNode({ routes: { [ROUTE]: {} } });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(1);
    await expectQuiet(one, 1);
    const client = await connectClient(one.port);
    client.send(`POST /first HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: 1\r\n\r\nx`);
    await eventually('the first is at the linker', () => linker.opened.length === 1);
    await hold(one, get('/second'));
    const [stream] = linker.opened;
    linker.link.free(stream as Stream, ResetCode.APP_REFUSED, false, false);
    await eventually('it is tried again', () => linker.opened.length === 2);
    expect(linker.paths).toEqual(['/first', '/first']);
    expect(one.node.held).toBe(1);
  });
});
