/** Slots that are lent on through a relay come home: exactly as many, whatever happens to what they serve. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { ask, crowd, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeApps, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import {
  CountingApp,
  closeAll,
  deafPort,
  expectQuiet,
  type NodeBehindDoor,
  ROUTE,
  type SomeLinker,
  type SomeNode,
  startNodeBehindDoor,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

const CONCURRENCY = 4;
const BODY = Buffer.alloc(300_000, 'x');

let directory: MemoryDirectory;
let app: CountingApp;
let home: SomeNode;
let holder: NodeBehindDoor;
let one: SomeLinker;

beforeEach(async () => {
  directory = new MemoryDirectory();
  app = await CountingApp.listen();
  app.on('/slow', (_request, response) => void setTimeout(() => response.end('slow'), Math.random() * 5));
  // Answers before it has read the request, and leaves most of it unread.
  app.on('/early', (_request, response) => void response.end('early'));
  app.on('/echo', (request, response) => void request.pipe(response));
  app.on('/break', (request) => request.socket.destroy());
  home = await startSomeNode({ id: 'home', directory });
  holder = await startNodeBehindDoor({ id: 'holder', directory });
  one = await startSomeLinker(home, app, { concurrency: CONCURRENCY });
});

afterEach(async () => {
  closeClients();
  closeApps();
  await closeAll();
});

test.each([
  ['uses again', true],
  ['returns', false],
])('a slot that the other node %s while its application connection has yet to close serves nobody before', async (_name, held) => {
  const stubborn = await ScriptedApp.listen();
  one.linker.drain();
  await one.exit;
  await startSomeLinker(home, stubborn, { concurrency: 1, abortTimeoutMs: 500 });
  await (await stubborn.next()).ended();

  const client = await connectClient(holder.port);
  client.send(`POST / HTTP/1.1\r\nHost: ${ROUTE}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const connection = await stubborn.next();
  await connection.takeThrough('\r\n\r\n');
  connection.pause();
  await sendUntilBytesWaitAtTheRelay(client);
  const second = await connectClient(holder.port);
  const askNext = (): boolean => second.send(`GET /next HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  if (held) {
    askNext();
    await eventually('the second is held', () => holder.node.held === 1);
  }
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly');
  expect((await client.response('POST')).text).toBe('early');
  const answeredAt = performance.now();

  if (!held) askNext();
  const next = await stubborn.next();
  // The linker has given the first one up: 500 ms after its FIN, which this application has not even read.
  expect(performance.now() - answeredAt).toBeGreaterThan(400);
  expect((await next.request()).startLine).toBe('GET /next HTTP/1.1');
  next.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext');
  expect((await second.response()).text).toBe('next');
  await expectQuiet(holder);
  await expectQuiet(home, 1);
});

/** A body of just as much as it takes, and no more: the holding node has sent all of it. */
async function sendUntilBytesWaitAtTheRelay(client: RawSocket): Promise<void> {
  const [lender] = home.node.routes.get(ROUTE)?.slots.lenders ?? [];
  const waits = (): boolean => [...(lender?.link.streams.values() ?? [])].some(({ pendingBytes }) => pendingBytes > 0);
  for (let sent = 0; !waits(); sent += 16_384) {
    if (sent > 64 * 1_048_576) throw new Error('nothing waits at the relay');
    client.send(`4000\r\n${'x'.repeat(16_384)}\r\n`);
    await settle();
  }
  client.send('0\r\n\r\n');
  await settle();
}

/** Bytes that were sent have gone as far as they go. */
async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise(setImmediate);
}

test('1,000 exchanges of all kinds, some given up by their clients, leave every slot at home', async () => {
  const paths = ['/slow', '/echo', '/early', '/break', '/plain'];
  let asked = 0;
  const lane = async (): Promise<void> => {
    while (asked < 1_000) {
      const i = asked++;
      const path = paths[i % paths.length] as string;
      const body = path === '/echo' || path === '/early' ? BODY.subarray(0, Math.floor(Math.random() ** 4 * BODY.length)) : '';
      if (i % 7 === 3) await giveUp(path, body.length);
      else await ask(holder.url, { host: ROUTE, path, method: body === '' ? 'GET' : 'POST', body }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: 12 }, lane));
  expect(app.most).toBeLessThanOrEqual(CONCURRENCY);
  await expectQuiet(holder);
  await expectQuiet(home, CONCURRENCY);
  const answers = await crowd(20, () => holder.url, { host: ROUTE });
  expect(statuses(answers)).toEqual({ 200: 20 });
}, 60_000);

/** A client that goes away at any moment of its exchange. */
async function giveUp(path: string, bytes: number): Promise<void> {
  const client = await connectClient(holder.port);
  client.discards = true;
  client.send(`POST ${path} HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: ${bytes}\r\n\r\n`);
  client.send(BODY.subarray(0, bytes / 2));
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
  client.reset();
}

describe('a linker that drains while its slots are relayed', () => {
  test('gets them back and loses no request; the others are served by the next instance', async () => {
    let drained: Promise<number> | null = null;
    app.on('/slow', (_request, response) => {
      if (app.requests === 30) {
        drained = one.exit;
        one.linker.drain();
      }
      setTimeout(() => response.end('slow'), 5);
    });
    const next = await startSomeLinker(home, app, { concurrency: CONCURRENCY });
    const answers = await crowd(200, () => holder.url, { host: ROUTE, path: '/slow', method: 'POST', body: 'x' });
    expect(statuses(answers)).toEqual({ 200: 200 });
    expect(await drained).toBe(0);
    await expectQuiet(holder);
    await expectQuiet(home, CONCURRENCY);
    next.linker.drain();
    expect(await next.exit).toBe(0);
  });

  test('also gets back those that wait for a relay to come up', async () => {
    holder.door.port = await deafPort();
    const client = await connectClient(holder.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await eventually('the relay is being dialled', () => holder.door.passed > 0);
    const began = performance.now();
    one.linker.drain();
    expect(await one.exit).toBe(0);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

describe('the node that relays', () => {
  test('drains without losing a request: what it has lent on comes home before it goes', async () => {
    const next = await startSomeNode({ id: 'next', directory });
    app.on('/slow', (_request, response) => void setTimeout(() => response.end('slow'), 10));
    const busy = crowd(100, () => holder.url, { host: ROUTE, path: '/slow', method: 'POST', body: 'x' });
    await eventually('it relays', () => app.requests > 20);
    const elsewhere = await startSomeLinker(next, app, { concurrency: CONCURRENCY });
    await home.node.drain(5_000);
    expect(statuses(await busy)).toEqual({ 200: 100 });
    await expectQuiet(holder);
    elsewhere.linker.drain();
  });

  test('serves its own clients before it lends on, and theirs again when nobody is held elsewhere', async () => {
    const both = await Promise.all([
      crowd(100, () => holder.url, { host: ROUTE, path: '/slow' }),
      crowd(100, () => home.url, { host: ROUTE, path: '/slow' }),
    ]);
    expect(both.map((answers) => statuses(answers))).toEqual([{ 200: 100 }, { 200: 100 }]);
    expect(app.most).toBeLessThanOrEqual(CONCURRENCY);
    await expectQuiet(holder);
    await expectQuiet(home, CONCURRENCY);
  });
});

describe('a node to which no relay can be made', () => {
  test('because its secret is another: slots go back, it is said in the log, and not tried again at once', async () => {
    const other = await startSomeNode({
      id: 'other',
      directory,
      secrets: () => ['another secret'],
      routes: { [ROUTE]: { holdTimeout: '900ms' } },
    });
    const answers = await crowd(5, () => other.url, { host: ROUTE });
    expect(statuses(answers)).toEqual({ 503: 5 });
    expect(other.lines.filter(({ msg }) => msg === 'linker linked')).toEqual([]);
    const attempts = home.lines.filter(({ msg }) => msg === 'the node can not relay');
    expect(attempts.map(({ reason }) => reason)).toEqual([
      'refused by the peer: the linker has not proved a secret that counts for its route here',
    ]);
    expect(JSON.stringify([...home.lines, ...other.lines])).not.toContain('another secret');
    await expectQuiet(other);
    await expectQuiet(home, CONCURRENCY);
    expect((await ask(home.url, { host: ROUTE })).status).toBe(200);
  });

  test('because it accepts and says nothing: slots come back within two seconds, and clients here have them meanwhile and after', async () => {
    holder.door.port = await deafPort();
    const client = await connectClient(holder.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await eventually('it is being dialled', () => holder.door.passed > 0);
    expect((await ask(home.url, { host: ROUTE })).status).toBe(200);
    await eventually('it is given up', () => home.lines.some(({ msg }) => msg === 'the node can not relay'), 4_000);
    await expectQuiet(home, CONCURRENCY);
    client.reset();
    await expectQuiet(holder);
  });

  test('because its address is none: nothing is thrown, and the slots stay', async () => {
    const odd = await startSomeNode({ id: 'odd', directory, advertise: 'no address', routes: { [ROUTE]: { holdTimeout: '700ms' } } });
    expect((await ask(odd.url, { host: ROUTE })).status).toBe(503);
    await expectQuiet(home, CONCURRENCY);
    expect((await ask(home.url, { host: ROUTE })).status).toBe(200);
  });
});
