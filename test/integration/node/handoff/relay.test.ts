import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { ask, crowd, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  type NodeBehindDoor,
  ROUTE,
  type SomeNode,
  startNodeBehindDoor,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';

const CONCURRENCY = 4;

/** `home` has the linker, whose clients come to `holder`; only nodes get through the door to `holder`. */
let directory: MemoryDirectory;
let app: CountingApp;
let home: SomeNode;
let holder: NodeBehindDoor;

beforeEach(async () => {
  directory = new MemoryDirectory();
  app = await CountingApp.listen();
  home = await startSomeNode({ id: 'home', directory });
  holder = await startNodeBehindDoor({ id: 'holder', directory });
  await startSomeLinker(home, app, { concurrency: CONCURRENCY });
});

afterEach(async () => {
  closeClients();
  await closeAll();
});

test('a client is served by a linker that can not reach its node, through the node that has the link', async () => {
  expect(await ask(holder.url, { host: ROUTE, path: '/hello' })).toMatchObject({ status: 200, body: 'served /hello' });
  // A promise that lapses on a slow machine is made again.
  expect(home.node.handoffs.results).toMatchObject({ failed: 1 });
  expect(home.node.handoffs.results.relayed).toBeGreaterThan(0);
  const answers = await crowd(200, () => holder.url, { host: ROUTE });
  expect(statuses(answers)).toEqual({ 200: 200 });
  expect(app.most).toBeLessThanOrEqual(CONCURRENCY);
  await expectQuiet(holder);
  await expectQuiet(home, CONCURRENCY);
});

test('the move that failed is relayed at once: the client does not wait for another search', async () => {
  await ask(holder.url, { host: ROUTE });
  const began = performance.now();
  for (let i = 0; i < 10; i++) await ask(holder.url, { host: ROUTE });
  // Each waits for one want; a promise that is not kept lapses after 250 ms.
  expect((performance.now() - began) / 10).toBeLessThan(100);
  await expectQuiet(home, CONCURRENCY);
});

describe('bodies are streamed', () => {
  const BYTES = 24 * 1_048_576;
  /** Two windows, two sockets' buffers on each of the three ways, and what Node keeps besides. */
  const ON_THE_WAY_BYTES_MAX = 16 * 1_048_576;

  test('to the application no faster than it reads, and whole', async () => {
    let read = 0;
    const begins = Promise.withResolvers<() => void>();
    app.on('/up', (request, response) => {
      begins.resolve(() => {
        request.on('data', (chunk: Buffer) => {
          read += chunk.length;
        });
        request.once('end', () => response.end(`read ${read}`));
      });
    });
    const client = await connectClient(holder.port);
    client.send(`POST /up HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: ${BYTES}\r\n\r\n`);
    const begin = await begins.promise;
    for (let sent = 0; sent < BYTES; sent += 65_536) client.send(Buffer.alloc(65_536, sent % 251));
    await standsStill(() => BYTES - client.socket.writableLength);
    expect(BYTES - client.socket.writableLength).toBeLessThan(ON_THE_WAY_BYTES_MAX);
    begin();
    expect((await client.response('POST')).text).toBe(`read ${BYTES}`);
    await expectQuiet(home, CONCURRENCY);
  });

  test('to the client no faster than it reads, and whole', async () => {
    let written = 0;
    app.on('/down', (_request, response) => {
      response.writeHead(200, { 'content-length': BYTES });
      const more = (): void => {
        while (written < BYTES) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536, written % 251))) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const client = await connectClient(holder.port);
    client.send(`GET /down HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    client.discards = true;
    await client.until(() => client.receivedBytes > 0, 'the first bytes');
    client.pause();
    await standsStill(() => written);
    expect(written).toBeLessThan(ON_THE_WAY_BYTES_MAX);
    // Others go on meanwhile.
    expect((await ask(holder.url, { host: ROUTE })).status).toBe(200);
    client.resume();
    await client.until(() => client.receivedBytes >= BYTES, 'the whole body');
    await expectQuiet(home, CONCURRENCY);
  });
});

describe('what breaks', () => {
  test('at the client ends at the application, and the slot comes home', async () => {
    app.on('/drip', (_request, response) => void response.writeHead(200).write('drop'));
    const clients = await Promise.all(Array.from({ length: CONCURRENCY }, () => connectClient(holder.port)));
    for (const client of clients) {
      client.send(`GET /drip HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
      await client.takeThrough('drop');
    }
    for (const [i, client] of clients.entries()) i % 2 === 0 ? client.reset() : client.end();
    await eventually('the application has heard of it', () => app.aborted === CONCURRENCY);
    await expectQuiet(holder);
    await expectQuiet(home, CONCURRENCY);
  });

  test('at the application before its response is told to the client, at once when it may not be tried again', async () => {
    app.on('/break', (request) => request.socket.destroy());
    expect((await ask(holder.url, { host: ROUTE, path: '/break', method: 'POST', body: 'x' })).status).toBe(502);
    expect(app.requests).toBe(1);
    await expectQuiet(home, CONCURRENCY);
  });

  test('at the application within its response breaks the response', async () => {
    app.on('/half', (request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setImmediate(() => request.socket.destroy());
    });
    const client = await connectClient(holder.port);
    client.send(`GET /half HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await client.takeThrough('half');
    expect(await client.ended()).toBe('reset');
    await expectQuiet(holder);
    await expectQuiet(home, CONCURRENCY);
  });

  test('between the nodes breaks what runs there and nothing else: slots come home, and the next client is served', async () => {
    app.on('/drip', (_request, response) => void response.writeHead(200).write('drop'));
    const client = await connectClient(holder.port);
    client.send(`GET /drip HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await client.takeThrough('drop');
    const near = await connectClient(home.port);
    near.send(`GET /drip HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await near.takeThrough('drop');
    holder.door.slam();
    expect(await client.ended()).toBe('reset');
    await eventually('the application has heard of it', () => app.aborted === 1);
    expect(near.ending).toBeNull();
    near.reset();
    await expectQuiet(home, CONCURRENCY);
    expect((await ask(holder.url, { host: ROUTE })).status).toBe(200);
    expect(holder.door.passed).toBe(2);
    await expectQuiet(holder);
    await expectQuiet(home, CONCURRENCY);
  });

  test('in silence between the nodes is noticed within seconds', async () => {
    app.on('/drip', (_request, response) => void response.writeHead(200).write('drop'));
    const client = await connectClient(holder.port);
    client.send(`GET /drip HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await client.takeThrough('drop');
    holder.door.freeze();
    expect(await client.ended()).toBe('reset');
    await expectQuiet(home, CONCURRENCY);
  });
});

/** Resolves when the number has not changed for a while. */
async function standsStill(value: () => number): Promise<void> {
  let last = -1;
  let since = performance.now();
  await eventually('it stands still', () => {
    if (value() !== last) {
      last = value();
      since = performance.now();
    }
    return performance.now() - since > 300;
  });
}
