import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { eventually } from '../../support/eventually.ts';
import { CountingApp, closeAll, ROUTE, startSomeLinker, startSomeNode } from '../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';

afterEach(async () => {
  closeClients();
  await closeAll();
});

const ROUTES = { [ROUTE]: { sleepThrough: ['GET /healthz', 'ua:*bot*'], holdTimeout: '20s' } };
const check = `GET /healthz HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;
const person = `GET /page HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;

describe('a request that its route sleeps through', () => {
  test('is answered at once while no instance is there, and starts none', async () => {
    const started: string[] = [];
    const node = await startSomeNode({ routes: ROUTES, startNeeded: (route) => started.push(route) });
    const client = await connectClient(node.port);
    const begun = performance.now();
    client.send(check);
    const response = await client.response();
    expect(response.status).toBe(503);
    expect(response.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=asleep']);
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(node.node.held).toBe(0);
    client.send(`HEAD / HTTP/1.1\r\nHost: ${ROUTE}\r\nUser-Agent: a Bot/1\r\n\r\n`);
    expect((await client.response('HEAD')).status).toBe(503);
    // The counter-test: everybody else is held, and starts one.
    client.send(person);
    await eventually('an instance is wanted', () => started.length > 0);
    expect(started).toEqual(started.map(() => ROUTE));
    expect(node.node.held).toBe(1);
    const { routes } = await node.node.cluster.snapshot();
    expect(routes.find(({ name }) => name === ROUTE)?.held).toBe(1);
  });

  test('gets the status that the route names', async () => {
    const node = await startSomeNode({ routes: { [ROUTE]: { ...ROUTES[ROUTE], sleepStatus: 200 } } });
    const client = await connectClient(node.port);
    client.send(check);
    const response = await client.response();
    expect([response.status, ...response.values('proxy-status')]).toEqual([
      200,
      'pullproxy; error=proxy_internal_response; details=asleep',
    ]);
  });

  test('is served by an instance that is there, and waits its turn without being demand', async () => {
    const started: string[] = [];
    const node = await startSomeNode({ routes: ROUTES, startNeeded: (route) => started.push(route) });
    const app = await CountingApp.listen();
    const finish: (() => void)[] = [];
    app.on('/page', (_request, response) => void finish.push(() => response.end('late')));
    await startSomeLinker(node, app, { concurrency: 1 });
    const [busy, quiet] = [await connectClient(node.port), await connectClient(node.port)];
    busy.send(person);
    await eventually('the slot is taken', () => finish.length === 1);
    quiet.send(check);
    await eventually('it is held', () => node.node.held === 1);
    expect((await node.node.cluster.snapshot()).routes.find(({ name }) => name === ROUTE)?.held).toBe(0);
    expect(started).toEqual([]);
    finish[0]?.();
    expect((await quiet.response()).body.toString()).toBe('served /healthz');
    expect(node.node.held).toBe(0);
  });

  test('gets a slot that lies idle at another node', async () => {
    const directory = new MemoryDirectory();
    const [near, far] = [
      await startSomeNode({ id: 'near', directory, routes: ROUTES }),
      await startSomeNode({ id: 'far', directory, routes: ROUTES }),
    ];
    const app = await CountingApp.listen();
    await startSomeLinker(far, app, { concurrency: 1 });
    const client = await connectClient(near.port);
    client.send(check);
    expect((await client.response()).body.toString()).toBe('served /healthz');
  });

  test('is sent away when the last instance leaves while it waits', async () => {
    const node = await startSomeNode({ routes: ROUTES });
    const app = await CountingApp.listen();
    let taken = 0;
    app.on('/page', () => void taken++);
    const { linker } = await startSomeLinker(node, app, { concurrency: 1, drainTimeoutMs: 10 });
    const [busy, quiet] = [await connectClient(node.port), await connectClient(node.port)];
    busy.send(person);
    await eventually('the slot is taken', () => taken === 1);
    quiet.send(check);
    await eventually('it is held', () => node.node.held === 1);
    linker.drain();
    linker.drain();
    expect((await quiet.response()).status).toBe(503);
    expect(node.node.held).toBe(0);
  });

  test('a thousand at once ask the directory once', async () => {
    const directory = new MemoryDirectory();
    let beats = 0;
    const beatRoute = directory.beatRoute.bind(directory);
    directory.beatRoute = (...said) => {
      beats++;
      return beatRoute(...said);
    };
    const node = await startSomeNode({ directory, routes: ROUTES });
    const client = await connectClient(node.port);
    const begun = performance.now();
    client.send(check);
    await client.response();
    for (let i = 0; i < 200; i++) {
      client.send(check);
      expect((await client.response()).status).toBe(503);
    }
    expect(beats).toBeLessThan(3 + (performance.now() - begun) / 500);
  });
});
