/** Anybody who reaches the admin port can connect. Nobody can keep probes or people away by it, or fill the process's memory. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONNECTIONS_MAX } from '../../../src/admin/connections.ts';
import { AdminServer } from '../../../src/admin/server.ts';
import { createLog } from '../../../src/log.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeSource } from '../../support/harness/admin-source.ts';

let server: AdminServer;
let port: number;
let open: Socket[];

async function start(token?: string, metricsOpen = false): Promise<void> {
  const log = createLog('test', 'silent');
  server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, source: new FakeSource(), log, token, metricsOpen, eventsEveryMs: 5 });
  port = Number((await server.start()).split(':').at(-1));
}
beforeEach(() => {
  open = [];
  return start();
});
afterEach(async () => {
  for (const socket of open) socket.destroy();
  await server.stop();
});

async function connected(text = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  open.push(socket);
  await once(socket, 'connect');
  if (text !== '') socket.write(text);
  return socket;
}

const isWell = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200;
const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n`;

/** All that comes until the end of the connection. */
async function allOf(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => {
    text += data;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

describe('as many connections as there may be', () => {
  test.each([
    ['say nothing', ''],
    ['do not end their head', GET('/healthz')],
    [
      'do not end their body',
      'POST /api/v1/drain HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
    ],
    ['have had an answer', `${GET('/healthz')}\r\n`],
  ])('that %s: the oldest goes, and who comes is answered', async (_, text) => {
    for (let i = 0; i < CONNECTIONS_MAX; i++) await connected(text);
    const [oldest, second] = open;
    const left = once(oldest as Socket, 'close');
    oldest?.resume();
    await eventually('well', isWell);
    await left;
    expect(second?.destroyed).toBe(false);
  });

  test('that listen to events leave room for others, and one that does not read is closed', async () => {
    for (let i = 0; i < CONNECTIONS_MAX; i++) await connected(`${GET('/api/v1/events')}\r\n`);
    await eventually('well', isWell);
  });
});

test('a head that comes a byte at a time has five seconds', async () => {
  const socket = await connected();
  const began = performance.now();
  const timer = setInterval(() => socket.write('a'), 200);
  expect(await allOf(socket.on('close', () => clearInterval(timer)))).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
  expect(performance.now() - began).toBeLessThan(9_000);
}, 20_000);

test('requests that do not wait for answers end their connection: their responses would pile up', async () => {
  const socket = await connected(`${GET('/metrics')}\r\n`.repeat(2_000));
  const text = await allOf(socket);
  expect(text.split('HTTP/1.1 200').length - 1).toBeLessThan(2);
  await eventually('well', isWell);
});

describe('what is no request of ours', () => {
  test.each([
    [
      'an Upgrade',
      `${GET('/api/v1/events')}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: YQ==\r\n\r\n`,
      /^HTTP\/1\.1 (200|4\d\d) /,
    ],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n', /^$|^HTTP\/1\.1 4/],
    ['a head of 20 KB', `${GET('/healthz')}x: ${'y'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    [
      'wrong JSON',
      'PUT /api/v1/routes/a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'JSON that is no object',
      'PUT /api/v1/routes/a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull',
      /^HTTP\/1\.1 400 /,
    ],
    [
      '__proto__',
      'PUT /api/v1/routes/a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{"__proto__":{}}',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'a body of a megabyte',
      `PUT /api/v1/routes/a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n${' '.repeat(100_000)}`,
      /^HTTP\/1\.1 413 /,
    ],
    ['a path with a NUL', `${GET('/api/v1/routes/%00')}\r\n`, /^HTTP\/1\.1 400 /],
    ['a path that is no UTF-8', `${GET('/api/v1/routes/%ff')}\r\n`, /^HTTP\/1\.1 4\d\d /],
    ['noise', '\x16\x03\x01\x00\xff\x01\r\n\r\n', /^HTTP\/1\.1 400 /],
  ])('%s', async (_, text, answer) => {
    const socket = await connected(text);
    const first = await Promise.race([once(socket, 'data').then(([data]) => String(data)), once(socket, 'close').then(() => '')]);
    expect(first).toMatch(answer);
    await eventually('well', isWell);
  });
});

describe('with a token', () => {
  const status = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await answer.body?.cancel();
    return answer.status;
  };

  test('what is read needs it, but for health, the page and the description; metrics as the operator says', async () => {
    await server.stop();
    await start('secret');
    const bearer = { authorization: 'Bearer secret' };
    for (const path of [
      '/api/v1/state',
      '/api/v1/events',
      '/api/v1/jobs',
      '/api/v1/routes/a',
      '/metrics',
      '/nothing',
      '/%6detrics',
      '//metrics',
    ]) {
      expect([path, await status(path)]).toEqual([path, 401]);
      expect([path, await status(path, { authorization: 'Bearer wrong' })]).toEqual([path, 401]);
    }
    for (const path of ['/healthz', '/readyz', '/', '/jobs', '/assets/calls.js', '/api/v1/openapi.json'])
      expect([path, await status(path)]).toEqual([path, 200]);
    for (const path of ['/api/v1/state', '/metrics', '/api/v1/events']) expect([path, await status(path, bearer)]).toEqual([path, 200]);
    await server.stop();
    await start('secret', true);
    expect([await status('/metrics'), await status('/api/v1/state')]).toEqual([200, 401]);
  });

  test('a page whose name was made to point here reads nothing', async () => {
    await server.stop();
    await start('secret');
    const socket = await connected('GET /api/v1/state HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n');
    expect(await allOf(socket)).toMatch(/^HTTP\/1\.1 401 /);
  });
});

test('a listener that does not read is closed', async () => {
  const state = 'x'.repeat(300_000);
  await server.stop();
  const source = new FakeSource();
  const log = createLog('test', 'silent');
  Object.defineProperty(source, 'state', { value: async () => ({ node: state, redis: { connected: true }, nodes: [], routes: [] }) });
  server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, source, log, eventsEveryMs: 5 });
  port = Number((await server.start()).split(':').at(-1));
  const socket = await connected(`${GET('/api/v1/events')}\r\n`);
  await once(socket, 'readable');
  let closed = false;
  socket.once('close', () => {
    closed = true;
  });
  await eventually('closed', async () => {
    // What the kernel has is read only after a while; a closed connection shows by a write.
    if (!socket.destroyed) socket.write('x');
    return closed;
  });
});
