import { afterEach, describe, expect, test } from '@jest/globals';
import { WINDOW_BYTES } from '../../../../src/link/stream.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { startNodeProcess } from '../../../support/node-process.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';
import { settled, turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const PIECE = Buffer.alloc(1_000_000, 'x');

/** What the kernels of two connections may hold on loopback, beyond what pullproxy itself may. */
const KERNEL_BYTES_MAX = 2 * 12_000_000;

describe('a slow client', () => {
  test('stops its application, and nobody else', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await startServedNode(app.port);
    const [slow, quick] = [await connectClient(port), await connectClient(port)];
    slow.pause();
    slow.send(GET);
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
    for (let i = 0; i < 60; i++) connection.send(PIECE);
    const unsent = await settled(() => connection.socket.writableLength);
    expect(60_000_000 - unsent).toBeLessThan(KERNEL_BYTES_MAX + 4 * WINDOW_BYTES);
    // What the linker could not send on waits there for the node's word.
    expect([...linker.link.streams.values()][0]?.pendingBytes).toBeLessThanOrEqual(WINDOW_BYTES);
    quick.send(GET);
    const other = await app.next();
    await other.request();
    other.send(ok('quick'));
    expect((await quick.response()).text).toBe('quick');
    for (let i = 0; i < 40; i++) connection.send(PIECE);
    slow.discards = true;
    slow.resume();
    await slow.until(() => slow.receivedBytes > 100_000_000);
    expect((await linker.ends(2)).kept).toBe(2);
  });
});

describe('a slow application', () => {
  test('stops its client', async () => {
    const app = await ScriptedApp.listen((connection) => connection.pause());
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 60000000\r\n\r\n');
    for (let i = 0; i < 60; i++) client.send(PIECE);
    const unsent = await settled(() => client.socket.writableLength);
    expect(60_000_000 - unsent).toBeLessThan(KERNEL_BYTES_MAX + 4 * WINDOW_BYTES);
    const connection = await app.next();
    connection.discards = true;
    connection.resume();
    await connection.until(() => connection.receivedBytes > 60_000_000);
    connection.send(ok('done'));
    expect((await client.response()).text).toBe('done');
  });

  test('that answers without reading loses neither the response nor its bound', async () => {
    const app = await ScriptedApp.listen((connection) => connection.pause());
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 60000000\r\n\r\n');
    for (let i = 0; i < 30; i++) client.send(PIECE);
    await settled(() => client.socket.writableLength);
    (await app.next()).send('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy');
    expect(await client.response()).toMatchObject({ status: 503, text: 'busy' });
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
  });
});

test('a hundred megabytes pass through in bounded memory, both ways', async () => {
  const app = await ScriptedApp.listen();
  const node = await startNodeProcess();
  const linker = await FakeLinker.dial({ backendPort: node.backendPort, appPort: app.port });
  const client = await connectClient(node.port);
  const bytes = 100 * PIECE.length;
  client.discards = true;
  client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${bytes}\r\n\r\n`);
  const connection = await app.next();
  connection.discards = true;
  await pour(client, connection, 5 * PIECE.length);
  const before = node.peakBytes();
  await pour(client, connection, bytes);
  connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
  await pour(connection, client, bytes);
  expect((await linker.ends(1)).kept).toBe(1);
  // V8 lets some 64 MB of buffers pile up before it looks for garbage: that is far from the whole.
  expect(node.peakBytes() - before).toBeLessThan(90_000_000);
});

/** Sends as fast as it is taken. */
async function pour(from: RawSocket, to: RawSocket, bytes: number): Promise<void> {
  for (let sent = to.receivedBytes; sent < bytes; sent += PIECE.length) {
    if (!from.send(PIECE)) await new Promise((resolve) => from.socket.once('drain', resolve));
  }
  await to.until(() => to.receivedBytes >= bytes);
  await turns(1);
}
