/** Answers that never end and are no content: what is kept of them is bounded, whichever protocol the client speaks. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { block, requestBlock, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import { startNodeProcess } from '../../../support/node-process.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

const MEGABYTES = 120;
const MEGABYTE = Buffer.alloc(1_048_576, 'x');
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const FLOODS = [
  ['a chunk extension', `${CHUNKED}1;a=`, MEGABYTE],
  ['chunk extensions between content', CHUNKED, Buffer.from(`1;${'a'.repeat(1_000)}\r\nx\r\n`.repeat(1_000))],
  ['the digits of a chunk’s size', CHUNKED, Buffer.alloc(1_048_576, '0')],
  ['one trailer', `${CHUNKED}0\r\nX-Large: `, MEGABYTE],
  ['many trailers', `${CHUNKED}0\r\n`, Buffer.from('X-Many: 123456789\r\n'.repeat(50_000))],
  ['one field of a head', 'HTTP/1.1 200 OK\r\nX-Large: ', MEGABYTE],
  ['one field of an interim answer', 'HTTP/1.1 103 Early Hints\r\nX-Large: ', MEGABYTE],
] as const;

/** Sends until the other side has had enough. */
async function flood(connection: RawSocket, first: string, piece: Buffer, megabytes: number): Promise<void> {
  await connection.request();
  connection.send(first);
  for (let i = 0; i < megabytes && connection.ending === null; i++) {
    if (!connection.send(piece))
      await Promise.race([new Promise((resolve) => connection.socket.once('drain', resolve)), connection.ended()]);
  }
}

describe.each(['HTTP/1.1', 'HTTP/2'] as const)('to a client of %s', (protocol) => {
  test.each(FLOODS)('%s without end is broken off', async (_what, first, piece) => {
    const app = await ScriptedApp.listen((connection) => flood(connection, first, piece, MEGABYTES));
    const node = await startNodeProcess();
    await FakeLinker.dial({ backendPort: node.backendPort, appPort: app.port });
    const before = node.peakBytes();
    if (protocol === 'HTTP/2') {
      const client = await FramePeer.client(node.port);
      client.headers(1, requestBlock(), true);
      const end = await client.endOf(1);
      if (end === 'end') expect(client.contentOf(1).toString()).toContain('502 Bad Gateway');
      else expect(end).toBe(2);
    } else {
      const client = await connectClient(node.port);
      client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n');
      await client.ended();
      expect(client.receivedBytes).toBeLessThan(1_000_000);
    }
    await (await app.next()).ended();
    expect(node.peakBytes() - before).toBeLessThan(40_000_000);
  });
});

test('interim responses without end are not kept for a client that does not read', async () => {
  const interim = Buffer.from(`HTTP/1.1 103 Early Hints\r\nLink: </${'a'.repeat(1_000)}>\r\n\r\n`.repeat(1_000));
  const app = await ScriptedApp.listen((connection) => flood(connection, '', interim, 60));
  const node = await startNodeProcess();
  await FakeLinker.dial({ backendPort: node.backendPort, appPort: app.port });
  const client = await FramePeer.client(node.port);
  const before = node.peakBytes();
  client.headers(1, requestBlock(), true);
  client.raw.pause();
  const connection = await app.next();
  await eventually('50 MB are taken', () => connection.socket.bytesWritten > 50_000_000);
  expect(node.peakBytes() - before).toBeLessThan(40_000_000);
});

test('interim responses of an application of HTTP/2 are bounded in the same way, and its response arrives', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    const application = await FramePeer.application(connection);
    await application.until(Type.HEADERS);
    const interim = block([
      [':status', '103'],
      ['link', `</${'a'.repeat(1_000)}>`],
    ]);
    for (let i = 0; i < 5_000; i++) application.headers(1, interim);
    application.headers(1, block([[':status', '200']]), true);
  });
  const { port, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
  await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
  const client = await FramePeer.client(port);
  client.headers(1, requestBlock(), true);
  expect(await client.endOf(1)).toBe('end');
  const heads = client.frames.filter(({ type }) => type === Type.HEADERS);
  expect(heads.length).toBeGreaterThan(10);
  expect(heads.length).toBeLessThan(100);
});
