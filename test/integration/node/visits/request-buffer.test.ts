/** `--request-buffer`: a request has a slot only when its body is there, or as much of it as is buffered. */
import { once } from 'node:events';
import { type ClientHttp2Stream, createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import {
  closeEverything,
  type LoneNode,
  type LoneNodeOptions,
  startLoneNode,
  startServedNode,
} from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { settled } from '../../../support/settled.ts';

const BUFFER_BYTES = 200_000;
const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

const servers: Http2Server[] = [];

afterEach(async () => {
  closeHttp2();
  for (const server of servers.splice(0)) server.close();
  await closeEverything();
});

const post = (length: number, headers = ''): string => `POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${length}\r\n${headers}\r\n`;

/** An application that answers with how long each body was, behind a node with one slot. */
async function served(options: LoneNodeOptions & { readonly concurrency?: number } = {}) {
  const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
  return { app, ...(await startServedNode(app.port, { requestBufferBytes: BUFFER_BYTES, concurrency: 1, ...options })) };
}

describe('a request of HTTP/1.1 whose body is still to come', () => {
  test('keeps nobody from the only slot, and gets it when its body is there', async () => {
    const { app, port, node } = await served();
    const [slow, other] = [await connectClient(port), await connectClient(port)];
    slow.send(`${post(10)}hello`);
    for (let i = 0; i < 3; i++) {
      other.send(GET);
      expect((await other.response()).text).toBe('0');
    }
    expect(node.active).toBe(0);
    slow.send('world');
    expect((await slow.response('POST')).text).toBe('10');
    // The requests of the other one and its own went by one connection: there was one slot.
    expect(app.connections).toHaveLength(1);
  });

  test('of chunks waits for the last one', async () => {
    const { port, node } = await served();
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await settled(() => node.active);
    expect(node.active).toBe(0);
    client.send('0\r\n\r\n');
    expect((await client.response('POST')).status).toBe(200);
  });

  test('goes on when as much as is buffered is there', async () => {
    const { app, port } = await served();
    const client = await connectClient(port);
    client.send(post(1_000_000));
    client.send(Buffer.alloc(BUFFER_BYTES - 1, 'x'));
    await settled(() => app.connections.length);
    expect(app.connections).toHaveLength(0);
    client.send(Buffer.alloc(1_000_000 - BUFFER_BYTES + 1, 'x'));
    expect((await client.response('POST')).text).toBe('1000000');
  });

  test('is told to go on when it asks, once', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port, { requestBufferBytes: BUFFER_BYTES });
    const client = await connectClient(port);
    client.send(post(5, 'Expect: 100-continue\r\n'));
    expect((await client.response('POST')).status).toBe(100);
    client.send('hello');
    const connection = await app.next();
    await connection.request();
    connection.send(`HTTP/1.1 100 Continue\r\n\r\n${ok('done').toString('latin1')}`);
    expect((await client.response('POST')).text).toBe('done');
  });

  test('has to come at the least rate', async () => {
    const { port } = await served({ bodyRateMin: 1_000, bodyGraceMs: 300 });
    const client = await connectClient(port);
    client.send(`${post(10)}hello`);
    expect((await client.response('POST')).status).toBe(408);
  });

  test('is not refused because its hold would be over: that begins when its body is there', async () => {
    const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
    const routes = { 'app.test': { holdTimeout: '1s' } };
    const { port, backendPort, node } = await startLoneNode({ requestBufferBytes: BUFFER_BYTES, routes });
    const client = await connectClient(port);
    client.send(`${post(10)}hello`);
    const since = performance.now();
    await eventually('a hold would be over', () => performance.now() - since > 1_300);
    client.send('world');
    await eventually('it is held', () => node.held === 1);
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    expect((await client.response('POST')).text).toBe('10');
  });

  test('counts for what held requests may keep, and goes on without its body when there is no room', async () => {
    const { app, port, node } = await served({ heldBytesMax: 100_000, concurrency: 2 });
    const client = await connectClient(port);
    client.send(post(150_000));
    client.send(Buffer.alloc(149_999, 'x'));
    await app.next();
    await eventually('it has a slot', () => node.active === 1);
    client.send('x');
    expect((await client.response('POST')).text).toBe('150000');
  });

  test('leaves nothing behind when its client goes', async () => {
    const { port, node } = await served({ heldBytesMax: 100_000 });
    for (let i = 0; i < 50; i++) {
      const client = await connectClient(port);
      client.send(post(50_000));
      client.send(Buffer.alloc(40_000, 'x'));
      await settledAway(client);
    }
    // All of it would be many times what may be kept.
    const client = await connectClient(port);
    client.send(`${post(10)}hello`);
    expect(await settled(() => node.active)).toBe(0);
    client.send('world');
    expect((await client.response('POST')).text).toBe('10');
  });
});

async function settledAway(client: Awaited<ReturnType<typeof connectClient>>): Promise<void> {
  client.end();
  await client.ended();
}

describe.each(['http1', 'h2c'] as const)('a request of HTTP/2 for an application of %s', (protocol) => {
  async function node(): Promise<LoneNode> {
    const appPort = protocol === 'http1' ? (await ScriptedApp.serving(({ body }) => ok(String(body.length)))).port : await lengthApp();
    const lone = await startLoneNode({ requestBufferBytes: BUFFER_BYTES, routes: { 'app.test': { protocol } } });
    await FakeLinker.dial({ backendPort: lone.backendPort, appPort, route: 'app.test', concurrency: 1 });
    return lone;
  }

  test('keeps nobody from the only slot, and gets it when its body is there', async () => {
    const lone = await node();
    const [slow, other] = [begin(lone.port), begin(lone.port)];
    slow.write('hello');
    other.end('others');
    expect(await answerTo(other)).toBe('200 6');
    await eventually('no slot is in use', () => lone.node.active === 0);
    slow.end('world');
    expect(await answerTo(slow)).toBe('200 10');
  });

  test('with more than is buffered passes whole', async () => {
    const lone = await node();
    const stream = begin(lone.port);
    stream.end(Buffer.alloc(1_000_000, 'x'));
    expect(await answerTo(stream)).toBe('200 1000000');
  });
});

/** Answers with how long each body was. */
async function lengthApp(): Promise<number> {
  const server = createServer();
  servers.push(server);
  server.on('stream', (stream) => {
    let bytes = 0;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end(String(bytes));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

function begin(port: number): ClientHttp2Stream {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'app.test' });
  stream.on('error', () => {});
  return stream;
}

async function answerTo(stream: ClientHttp2Stream): Promise<string> {
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return `${String(headers[':status'])} ${text}`;
}
