import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const WAYS: [string, (client: RawSocket) => void][] = [
  ['with FIN', (client) => client.end()],
  ['with RST', (client) => client.reset()],
];

describe.each(WAYS)('a client that leaves %s', (_how, leave) => {
  test('while it is held leaves the queue', async () => {
    const { node, port } = await startLoneNode({ routes: { 'app.test': {} } });
    const staying = await connectClient(port);
    staying.send(GET);
    const client = await connectClient(port);
    client.send(GET);
    await eventually('two held clients', () => node.held === 2);
    leave(client);
    await eventually('one held client', () => node.held === 1);
    expect(node.routes.get('app.test')?.held.size).toBe(1);
    expect(node.routes.get('app.test')?.counters.codes.get(499)).toBe(1);
  });

  test('while it is held and sends a large body leaves the queue soon', async () => {
    const { node, port } = await startLoneNode({ routes: { 'app.test': {} } });
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000000\r\n\r\n');
    // More than is read while it is held, and not more than the kernel takes: behind what it can't take no FIN comes.
    client.send(Buffer.alloc(120_000, 'x'));
    await eventually('a held client', () => node.held === 1);
    await turns();
    leave(client);
    await eventually('nobody held', () => node.held === 0, 5_000);
  });

  test('before the response reaches the application', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker, node } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(GET);
    const connection = await app.next();
    await connection.request();
    leave(client);
    await connection.ended();
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 0, reset: 1 });
    await eventually('the slot is idle again', () => node.active === 0);
  });

  test('amid the response reaches the application', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker, node } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(GET);
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun');
    await client.takeThrough('begun');
    leave(client);
    await connection.ended();
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 0, reset: 1 });
    await eventually('the slot is idle again', () => node.active === 0);
  });

  test('amid a response that it does not read reaches the application', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.pause();
    client.send(GET);
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
    for (let i = 0; i < 30; i++) connection.send(Buffer.alloc(1_000_000));
    await turns(50);
    leave(client);
    await connection.ended();
    await eventually('the slot is idle again', () => node.active === 0);
  });

  test('amid its upload reaches the application', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker, node } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\nbegun');
    const connection = await app.next();
    await connection.takeThrough('begun');
    leave(client);
    await connection.ended();
    expect(connection.unread).toHaveLength(0);
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 0, reset: 1 });
    await eventually('the slot is idle again', () => node.active === 0);
  });

  test('after its response, with another request begun, leaves nothing', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port, linker, node } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`${GET}GET / HT`);
    await client.response();
    leave(client);
    await client.ended();
    expect(linker.opened).toHaveLength(1);
    expect(node.active).toBe(0);
  });
});

test('answers that a client has not read yet still reach it after its FIN', async () => {
  const body = Buffer.alloc(200_000, 'x');
  const app = await ScriptedApp.serving(() => ok(body));
  const { port, linker } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.pause();
  client.send(GET);
  await linker.ends(1);
  client.end();
  await turns(10);
  client.resume();
  expect((await client.response()).body).toHaveLength(200_000);
  expect(await client.ended()).toBe('fin');
});

test('a client that breaks its connection amid an upload that the application does not read reaches the application soon', async () => {
  const app = await ScriptedApp.listen((connection) => connection.pause());
  const { port, node } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\n');
  for (let i = 0; i < 30; i++) client.send(Buffer.alloc(1_000_000));
  await app.next();
  await turns(50);
  client.reset();
  await eventually('the slot is idle again', () => node.active === 0, 5_000);
});
