/** A slot is on its way from one node to another, and meanwhile something happens. None is lost or doubled by it, and nobody is answered twice. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { ask, crowd, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  ROUTE,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';
import { TcpPath } from '../../../support/tcp-path.ts';

const GET = `GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;
const routes = { [ROUTE]: {} };

let directory: MemoryDirectory;
let app: CountingApp;
/** Linkers link here first. */
let here: SomeNode;
/** Linkers reach it over `way` only. */
let there: SomeNode;
let way: TcpPath;

beforeEach(async () => {
  directory = new MemoryDirectory();
  app = await CountingApp.listen();
  way = await TcpPath.open();
  here = await startSomeNode({ id: 'here', directory, routes });
  there = await startSomeNode({ id: 'there', directory, routes, advertise: way.address });
  way.target = there.backendPort;
});

afterEach(async () => {
  closeClients();
  way.close();
  await closeAll();
});

/** A client is held there; the slot has left `here` for it and the way is slow: it has not arrived. */
async function slotUnderWay(concurrency = 1, proxies = [{ host: '127.0.0.1', port: here.backendPort }]): Promise<RawSocket> {
  way.silence();
  await startSomeLinker(here, app, { concurrency, proxies });
  const client = await connectClient(there.port);
  client.send(GET);
  await eventually('the slot has left', () => here.node.handoffs.results.moved >= 1);
  return client;
}

/** Every slot is somewhere, and serves. */
async function expectAllServe(concurrency: number): Promise<void> {
  await eventually('all are served at both nodes', async () => {
    const answers = await crowd(concurrency * 5, (i) => (i % 2 === 0 ? here.url : there.url), { host: ROUTE });
    return statuses(answers)[200] === concurrency * 5;
  });
  expect(app.most).toBeLessThanOrEqual(concurrency);
  expect(here.node.held + there.node.held).toBe(0);
}

describe('while a slot moves', () => {
  test('its client leaves: the slot arrives, and serves the next one at either node', async () => {
    const client = await slotUnderWay();
    client.reset();
    await eventually('nobody is held', () => there.node.held === 0);
    way.heal();
    await expectAllServe(1);
  });

  test('its client leaves: the application is asked for it by no node, neither while the slot is under way nor when it has arrived', async () => {
    const client = await slotUnderWay();
    const next = await connectClient(there.port);
    next.send(GET);
    await eventually('both are held', () => there.node.held === 2);
    client.reset();
    await eventually('only the other one is held', () => there.node.held === 1);
    expect(app.requests).toBe(0);
    way.heal();
    await next.response();
    expect(app.requests).toBe(1);
    await expectAllServe(1);
  });

  test('its client leaves and another one comes: that one has it', async () => {
    const client = await slotUnderWay();
    const next = await connectClient(there.port);
    next.send(GET);
    await eventually('both are held', () => there.node.held === 2);
    client.reset();
    way.heal();
    expect((await next.response()).status).toBe(200);
    await expectAllServe(1);
  });

  test('its linker dies: the client stays held, and the next instance serves it', async () => {
    way.silence();
    const dying = await startSomeLinker(here, app, { concurrency: 1 });
    const client = await connectClient(there.port);
    client.send(GET);
    await eventually('the slot has left', () => here.node.handoffs.results.moved === 1);
    dying.linker.drain();
    dying.linker.drain();
    await dying.exit;
    way.heal();
    expect(there.node.held).toBe(1);
    await startSomeLinker(here, app, { concurrency: 1 });
    expect((await client.response()).status).toBe(200);
    await expectAllServe(1);
  });

  test('the node that it comes from leaves: the linker goes where the client is', async () => {
    // Nobody is behind the second address of the linker's as long as it looks for its first node.
    const later = await TcpPath.open();
    const proxies = [here.backendPort, later.port].map((port) => ({ host: '127.0.0.1', port }));
    const client = await slotUnderWay(1, proxies);
    later.target = there.backendPort;
    const drained = here.node.drain(5_000);
    way.heal();
    expect((await client.response()).status).toBe(200);
    await drained;
    expect((await ask(there.url, { host: ROUTE })).status).toBe(200);
    later.close();
  });

  test('the node that it goes to dies: the slot comes back and serves here', async () => {
    await slotUnderWay();
    await there.node.stop();
    way.cut();
    way.heal();
    expect((await ask(here.url, { host: ROUTE })).status).toBe(200);
    expect(app.most).toBe(1);
  });

  test('the node that it goes to is restarted at the same address, under the same name', async () => {
    await slotUnderWay();
    await there.node.stop();
    way.cut();
    there = await startSomeNode({ id: 'there', directory, routes, advertise: way.address });
    way.target = there.backendPort;
    way.heal();
    await expectAllServe(1);
  });

  test('it is wanted again for the same client, which a repeated message does: the client is answered once, and no slot is stuck', async () => {
    const client = await slotUnderWay(3);
    const asker = { id: 'there', address: way.address };
    here.node.clusterEvents.onWant(ROUTE, 1, asker);
    here.node.clusterEvents.onWant(ROUTE, 1, asker);
    way.heal();
    expect((await client.response()).status).toBe(200);
    expect(client.unread.length).toBe(0);
    await expectAllServe(3);
    expect(client.unread.length).toBe(0);
  });
});

test('two nodes want the last slot: one client is served after the other, each once', async () => {
  const third = await startSomeNode({ id: 'third', directory, routes });
  const clients = await Promise.all([there, third].map(({ port }) => connectClient(port)));
  for (const client of clients) client.send(GET);
  await eventually('both are held', () => there.node.held + third.node.held === 2);
  await startSomeLinker(here, app, { concurrency: 1 });
  const answers = await Promise.all(clients.map((client) => client.response()));
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect([app.requests, app.most]).toEqual([2, 1]);
  await expectAllServe(1);
  await expectQuiet(third);
});

test('a slot that comes for nobody is found by whoever needs it next', async () => {
  await startSomeLinker(here, app, { concurrency: 2 });
  await expectQuiet(here, 2);
  here.node.clusterEvents.onWant(ROUTE, 2, { id: 'there', address: way.address });
  await expectQuiet(there, 2);
  expect(statuses(await crowd(4, () => here.url, { host: ROUTE }))).toEqual({ 200: 4 });
  await expectAllServe(2);
});
