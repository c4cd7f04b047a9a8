/** Clients that break off their request, in whatever way: they are gone at once, and no part of a request is taken for the whole. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../../src/link/frames.ts';
import { WINDOW_BYTES } from '../../../../src/link/stream.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { requestBlock, settings } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const POST = requestBlock({ ':method': 'POST' });
/** More than is read before a slot is there. */
const PIECES = [Buffer.alloc(16_384), Buffer.alloc(8_000)];
const CODES = [0, 1, 2, 5, 7, 8, 11, 13, 0xffff_ffff];

type Breaking = readonly [what: string, breaking: (client: FramePeer) => void];

const BREAKINGS: readonly Breaking[] = [
  ...CODES.map((code): Breaking => [`RST_STREAM with ${code}`, (client) => client.reset(1, code)]),
  ['a FIN', (client) => client.raw.end()],
  [
    'a GOAWAY and a FIN',
    (client) => {
      client.goAway(0);
      client.raw.end();
    },
  ],
  ['a GOAWAY with an error', (client) => client.goAway(2)],
  ['a broken connection', (client) => client.raw.reset()],
  ['what is no frame', (client) => client.send(8, 0, 1, Buffer.alloc(3))],
];

describe.each(['POST', 'HEAD'])('a held %s whose body is not read any further', (method) => {
  test.each(BREAKINGS)('leaves the queue at once after %s', async (_what, breaking) => {
    const { port, node } = await startLoneNode({ routes: { 'app.test': { holdTimeout: '1s' } } });
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock({ ':method': method }));
    for (const piece of PIECES) client.data(1, piece);
    await eventually('a held client', () => node.held === 1);
    await client.judged();
    const brokeAt = performance.now();
    breaking(client);
    await eventually('nobody held', () => node.held === 0);
    expect(performance.now() - brokeAt).toBeLessThan(900);
  });
});

test('a request that is broken off in the bytes with which it began reaches nobody', async () => {
  const app = await ScriptedApp.serving(({ startLine }) => ok(startLine));
  const { port } = await startServedNode(app.port);
  const client = await FramePeer.client(port);
  client.raw.socket.cork();
  client.headers(1, POST);
  client.data(1, 'some');
  client.reset(1, 0);
  client.headers(3, requestBlock({ ':path': '/other' }), true);
  client.raw.socket.uncork();
  expect(await client.endOf(3)).toBe('end');
  expect(client.contentOf(3).toString()).toBe('GET /other HTTP/1.1');
  expect(app.connections).toHaveLength(1);
});

describe.each(['http1', 'h2c'] as const)('where the application (%s) does not read a body', (protocol) => {
  test.each(BREAKINGS)('its client loses the slot at once after %s', async (_what, breaking) => {
    const app = await ScriptedApp.listen((connection) => {
      if (protocol === 'http1') connection.pause();
    });
    const { port, node, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
    const client = await FramePeer.client(port);
    client.headers(1, POST);
    for (let i = 0; i < 3; i++) client.data(1, Buffer.alloc(16_384));
    const connection = await app.next();
    if (protocol === 'h2c') await FramePeer.application(connection, settings([4, 0]));
    await client.judged();
    expect(node.active).toBe(1);
    breaking(client);
    await eventually('the slot is idle', () => node.active === 0);
  });
});

describe('where more was sent than fits all windows on the way', () => {
  test.each(BREAKINGS)('a client loses its slot at once after %s', async (_what, breaking) => {
    const { port, node, backendPort } = await startLoneNode();
    const linker = await FakeLinker.dial({ backendPort, appPort: 1, concurrency: 1 });
    // Reads nothing at all.
    linker.intercept = (stream, _flags, { free }) => {
      const onReset = (): void => free.call(linker.link, stream, ResetCode.CLOSED, true, false);
      stream.handler = { where: 'application', fail: onReset, onData: () => 'borrowed', onEnd: () => {}, onDrain: () => {}, onReset };
      return true;
    };
    const client = await FramePeer.client(port);
    client.headers(1, POST);
    const sent = await client.fill(1);
    expect(sent).toBeGreaterThan(WINDOW_BYTES);
    expect(node.active).toBe(1);
    breaking(client);
    await eventually('the slot is idle', () => node.active === 0);
  });
});

test('a request whose body goes on beyond its length reaches no application as a whole (RFC 9113 section 8.1.1)', async () => {
  const app = await ScriptedApp.listen();
  const { port } = await startServedNode(app.port);
  const client = await FramePeer.client(port);
  client.headers(1, requestBlock({ ':method': 'POST', 'content-length': '10' }));
  client.data(1, 'first');
  const connection = await app.next();
  await connection.takeThrough('first');
  client.data(1, 'whole');
  await client.judged();
  client.data(1, 'more');
  await connection.ended();
  expect(connection.unread.toString()).toBe('');
});

describe('a request of unknown length that was broken off', () => {
  test.each(BREAKINGS)('by %s does not reach an application of HTTP/1.1 as a whole', async (_what, breaking) => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await FramePeer.client(port);
    client.headers(1, POST);
    client.data(1, 'part of it');
    const connection = await app.next();
    await connection.takeThrough('part of it\r\n');
    breaking(client);
    await connection.ended();
    expect(connection.unread.toString()).toBe('');
  });

  test.each(BREAKINGS)('by %s does not reach an application of HTTP/2 as a whole', async (_what, breaking) => {
    const app = await ScriptedApp.listen();
    const { port, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const client = await FramePeer.client(port);
    client.headers(1, POST);
    client.data(1, 'part of it');
    const application = await FramePeer.application(await app.next());
    while (application.contentOf(1).toString() !== 'part of it') await application.next();
    breaking(client);
    expect(await application.endOf(1).catch(() => 'broken')).not.toBe('end');
    expect(application.hasEnded(1)).toBe(false);
  });

  test('by the close of a client library does not either', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':method': 'POST', ':authority': 'app.test' });
    stream.on('error', () => {});
    stream.write('part of it');
    const connection = await app.next();
    await connection.takeThrough('part of it\r\n');
    stream.destroy();
    await connection.ended();
    expect(connection.unread.toString()).not.toContain('0\r\n\r\n');
  });
});

test('what is whole arrives as a whole, with its trailers, also when it comes in one piece with its head', async () => {
  const app = await ScriptedApp.serving(({ body, trailers }) => ok(`${body} ${trailers.trim()}`));
  const { port } = await startServedNode(app.port);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ':method': 'POST', ':authority': 'app.test' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
  stream.end('whole');
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  expect(Buffer.concat(chunks).toString()).toBe('whole x-sum: 1');
  const client = await FramePeer.client(port);
  client.raw.socket.cork();
  client.headers(1, POST);
  client.data(1, 'at once', true);
  client.raw.socket.uncork();
  expect(await client.endOf(1)).toBe('end');
  expect(client.contentOf(1).toString()).toBe('at once ');
});

test('others of the same connection go on', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    await connection.request();
    connection.send(ok('hello'));
  });
  const { port } = await startServedNode(app.port);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  for (const code of CODES) {
    const stream = session.request({ ':method': 'POST', ':authority': 'app.test' });
    stream.on('error', () => {});
    stream.write(Buffer.alloc(40_000));
    await delay(1);
    stream.close(code);
    expect((await askHttp2(session, {})).text).toBe('hello');
  }
});
