import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { PauseBarrier } from '../../../../src/cluster/pause-barrier.ts';
import { eventually } from '../../../support/eventually.ts';
import { CountingApp, closeAll, ROUTE, type SomeNode, startSomeLinker, startSomeNode } from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeClients();
  await closeAll();
});

const get = (path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;
const pausing = (directory: MemoryDirectory, over: { forMs?: number; waitMs?: number; tunnels?: 'wait' | 'ignore' } = {}) =>
  new PauseBarrier(directory).pause(ROUTE, { forMs: 60_000, waitMs: 20_000, tunnels: 'wait', ...over });

async function cluster(routes = { [ROUTE]: { holdTimeout: '20s', maxInstances: 5 } }) {
  const directory = new MemoryDirectory();
  const started: string[] = [];
  const startNeeded = (route: string): void => void started.push(route);
  const nodes: SomeNode[] = [];
  for (const id of ['a', 'b', 'c']) nodes.push(await startSomeNode({ id, directory, startNeeded, routes }));
  const app = await CountingApp.listen();
  return { directory, nodes: nodes as [SomeNode, SomeNode, SomeNode], app, started };
}

describe('a paused route', () => {
  test('gives nothing to its application from the return of the pause on, at any node, and then everything', async () => {
    const { directory, nodes, app, started } = await cluster();
    for (const node of nodes) await startSomeLinker(node, app, { concurrency: 2 });
    let atWork = 0;
    app.on('/work', (_request, response) => {
      atWork++;
      setTimeout(() => {
        atWork--;
        response.end('done');
      }, 20);
    });
    const clients = await Promise.all(nodes.flatMap((node) => Array.from({ length: 4 }, () => connectClient(node.port))));
    let isOver = false;
    let failures = 0;
    const loops = clients.map(async (client) => {
      while (!isOver) {
        client.send(get('/work'));
        if ((await client.response()).status !== 200) failures++;
      }
    });
    await eventually('the application works', () => app.requests > 50);
    const outcome = await pausing(directory);
    expect(outcome).toMatchObject({ still: [] });
    expect(atWork).toBe(0);
    const requests = app.requests;
    await eventually('everybody is held', () => nodes.reduce((sum, { node }) => sum + node.held, 0) === clients.length);
    const starts = started.length;
    const since = performance.now();
    await eventually('some time passes', () => performance.now() - since > 500);
    expect([app.requests, atWork, started.length]).toEqual([requests, 0, starts]);
    const picture = (await directory.snapshot()).routes.find(({ name }) => name === ROUTE);
    expect(picture?.paused).toMatchObject({ inFlight: 0 });
    expect(picture?.held).toBe(clients.length);
    expect(await directory.resume(ROUTE)).toBe(true);
    await eventually('it goes on', () => app.requests > requests + 100);
    isOver = true;
    await Promise.all(loops);
    expect(failures).toBe(0);
  });

  test('ends by itself, and those who were held have their whole patience again', async () => {
    const { directory, nodes, app } = await cluster({ [ROUTE]: { holdTimeout: '400ms', maxInstances: 5 } });
    await startSomeLinker(nodes[0], app);
    await pausing(directory, { forMs: 1_500 });
    const client = await connectClient(nodes[1].port);
    const begun = performance.now();
    client.send(get());
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([200, 'served /']);
    // Longer than holdTimeout: the pause is no reason to refuse it.
    expect(performance.now() - begun).toBeGreaterThan(600);
    await eventually('it is forgotten', async () => (await directory.declarations()).all.every(({ value }) => value === null));
  });

  test('says what is still in flight, and where, when the wait is over first', async () => {
    const { directory, nodes, app } = await cluster();
    const finish: (() => void)[] = [];
    app.on('/slow', (_request, response) => void finish.push(() => response.end('late')));
    await startSomeLinker(nodes[1], app);
    const client = await connectClient(nodes[1].port);
    client.send(get('/slow'));
    await eventually('it is at work', () => finish.length === 1);
    expect(await pausing(directory, { waitMs: 300 })).toMatchObject({ still: [{ node: 'b', why: 'in flight', count: 1 }] });
    const again = pausing(directory);
    finish[0]?.();
    expect(await again).toMatchObject({ still: [] });
    expect((await client.response()).body.toString()).toBe('late');
  });

  test.each(['wait', 'ignore'] as const)('with a tunnel open: %s', async (tunnels) => {
    const { directory, nodes, app } = await cluster();
    app.onUpgrade((socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    });
    await startSomeLinker(nodes[0], app);
    const client = await connectClient(nodes[0].port);
    client.send(`GET /ws HTTP/1.1\r\nHost: ${ROUTE}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n`);
    expect((await client.response()).status).toBe(101);
    const outcome = await pausing(directory, { tunnels, waitMs: tunnels === 'wait' ? 300 : 20_000 });
    if (tunnels === 'ignore') expect(outcome).toMatchObject({ still: [], tunnels: 1 });
    else expect(outcome).toMatchObject({ still: [{ node: 'a', why: 'in flight', count: 1 }] });
    const again = pausing(directory);
    client.socket.destroy();
    expect(await again).toMatchObject({ still: [], tunnels: 0 });
  });

  test('is paused at a node that joins meanwhile, and lets no instance retire', async () => {
    const { directory, nodes, app } = await cluster();
    const { linker, exit } = await startSomeLinker(nodes[0], app, { idleTimeoutMs: 100 });
    await pausing(directory, { forMs: 3_000 });
    const late = await startSomeNode({ id: 'late', directory });
    await eventually('the new node knows', () => late.node.pauses.leftMs(ROUTE) > 0);
    const client = await connectClient(late.port);
    client.send(get());
    await eventually('it is held there', () => late.node.held === 1);
    expect((await client.response()).status).toBe(200);
    expect(linker.instance).not.toBe('');
    await exit;
  });

  test('is unknown where nobody has ever heard of it', async () => {
    const directory = new MemoryDirectory();
    await startSomeNode({ directory });
    expect(await pausing(directory)).toBe('unknown');
    expect((await directory.pauses()).pauses.size).toBe(0);
  });
});
