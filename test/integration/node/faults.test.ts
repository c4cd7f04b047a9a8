/**
 * A fault at each boundary of the data plane, with real sockets, a real node and a real linker: it ends what it happened in, clients beside
 * it notice nothing, and no slot is lost.
 */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FrameReader } from '../../../src/link/frames.ts';
import { NodeLink } from '../../../src/link/node-link.ts';
import { AppConnection } from '../../../src/linker/app-connection.ts';
import { AppPool } from '../../../src/linker/app-pool.ts';
import { Tunnel } from '../../../src/node/clients/tunnel.ts';
import { ClientConnection } from '../../../src/node/http1/connection.ts';
import { Exchange } from '../../../src/node/http1/exchange.ts';
import { HeadLines } from '../../../src/node/http1/head/head-lines.ts';
import { RequestBytes } from '../../../src/node/http1/request-bytes.ts';
import { ApplicationResponse } from '../../../src/node/http1/response.ts';
import { ClientStream } from '../../../src/node/http2/client-stream.ts';
import { Outlet } from '../../../src/node/http2/outlet.ts';
import { StreamClient } from '../../../src/node/http2/stream-client.ts';
import { AddressLimit } from '../../../src/node/listeners/address-limit.ts';
import { Dispatcher } from '../../../src/node/matching/dispatch.ts';
import { eventually } from '../../support/eventually.ts';
import { faultOnce, mendFaults } from '../../support/faults.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../support/harness/lone-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';
import { expectInternalErrors, newInternalErrors } from '../../support/internal-errors.ts';
import { connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';

const SLOTS = 4;
const MARK = 'faulty';

let lone: LoneNode;
let parked: number;
let mostAtOnce: number;
let gate: PromiseWithResolvers<void>;
let innocents: { readonly http1: RawSocket; readonly http2: Promise<{ status: number; text: string }> };

beforeEach(async () => {
  parked = mostAtOnce = 0;
  gate = Promise.withResolvers();
  const app = await ScriptedApp.listen(async (connection) => {
    for (;;) {
      const request = await connection.request();
      if (request.startLine.includes('/park')) {
        mostAtOnce = Math.max(mostAtOnce, ++parked);
        await gate.promise;
        parked--;
      }
      if (request.startLine.includes('/upgrade')) {
        connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello');
        continue;
      }
      connection.send(ok(request.startLine.includes(MARK) ? MARK : 'fine'));
    }
  });
  lone = await startLoneNode({ secrets: () => ['a secret'] });
  new RunningLinker({
    route: '*',
    proxies: [{ host: '127.0.0.1', port: lone.backendPort }],
    concurrency: SLOTS,
    secret: 'a secret',
    app: { host: '127.0.0.1', port: app.port },
  });
  await eventually('all slots are lent', () => slots().idle === SLOTS);
  const http1 = await connectClient(lone.port);
  http1.send('GET /park HTTP/1.1\r\nHost: app.test\r\n\r\n');
  innocents = { http1, http2: askHttp2(connectHttp2(`http://127.0.0.1:${lone.port}`), { ':path': '/park' }) };
  await eventually('two clients are at the application', () => parked === 2);
});

afterEach(async () => {
  mendFaults();
  closeHttp2();
  await endLinkers();
  await closeEverything();
});

function slots(): { idle: number; active: number; held: number } {
  const route = lone.node.routes.match('app.test');
  const lenders = route?.slots.lenders ?? [];
  const sum = (read: (lender: (typeof lenders)[number]) => number): number => lenders.reduce((total, lender) => total + read(lender), 0);
  return { idle: sum(({ link }) => link.idle), active: sum(({ link }) => link.active), held: route?.held.size ?? 0 };
}

/** Those who were there before have their answers, all slots are idle, and the application can be given as many requests as ever. */
async function expectNobodyElseHarmed(where: string): Promise<void> {
  expect(Object.keys(newInternalErrors())).toEqual([where]);
  expectInternalErrors(newInternalErrors());
  gate.resolve();
  expect((await innocents.http1.response()).text).toBe('fine');
  expect((await innocents.http2).text).toBe('fine');
  await eventually('all slots are idle', () => JSON.stringify(slots()) === JSON.stringify({ idle: SLOTS, active: 0, held: 0 }));
  gate = Promise.withResolvers();
  mostAtOnce = 0;
  const clients = await Promise.all(Array.from({ length: SLOTS }, () => connectClient(lone.port)));
  for (const client of clients) client.send('GET /park HTTP/1.1\r\nHost: app.test\r\n\r\n');
  await eventually('each slot serves one', () => mostAtOnce === SLOTS);
  gate.resolve();
  for (const client of clients) expect((await client.response()).status).toBe(200);
}

const isMarked = (bytes: Buffer): boolean => bytes.includes(MARK);

/** What a client gets of a request that a fault hits: a status, or how its connection ended. */
async function ask(method = 'GET', body = ''): Promise<number | 'fin' | 'reset'> {
  const client = await connectClient(lone.port);
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  client.send(`${method} /${MARK} HTTP/1.1\r\nHost: app.test\r\n${length}\r\n${body}`);
  return Promise.race([client.response().then(({ status }) => status), client.ended()]);
}

describe('HTTP/1.1', () => {
  test('a fault while a request head is parsed refuses that request', async () => {
    faultOnce(HeadLines.prototype, 'addUrl');
    expect(await ask()).toBe(400);
    await expectNobodyElseHarmed('visit');
  });

  test('a fault within a body’s bytes is a 500', async () => {
    faultOnce(RequestBytes.prototype, 'add');
    expect(await ask('POST', 'a body')).toBe(500);
    await expectNobodyElseHarmed('client');
  });

  test('a fault while a slot is taken is a 500', async () => {
    faultOnce(NodeLink.prototype, 'open');
    expect(await ask()).toBe(500);
    await expectNobodyElseHarmed('visit');
  });

  test('a fault in the dispatcher is a 500', async () => {
    faultOnce(Dispatcher.prototype, 'slotsChanged');
    const status = await ask();
    expect([200, 500]).toContain(status);
    await expectNobodyElseHarmed('visit');
  });

  test('a fault while the response is read is a 500, and its slot goes home', async () => {
    faultOnce(ApplicationResponse.prototype, 'take', (_self, chunk: Buffer) => isMarked(chunk));
    expect(await ask()).toBe(500);
    await expectNobodyElseHarmed('visit');
  });

  test('a fault within the response breaks the connection', async () => {
    faultOnce(ClientConnection.prototype, 'write', (_self, bytes: Buffer) => isMarked(bytes));
    expect(await ask()).toBe('reset');
    await expectNobodyElseHarmed('visit');
  });

  test('a fault within the end of an exchange breaks the connection', async () => {
    faultOnce(ClientConnection.prototype, 'finished');
    await ask();
    await expectNobodyElseHarmed('visit');
  });

  test('a fault while the refusal of a request is written breaks its connection', async () => {
    faultOnce(Exchange.prototype, 'serve');
    faultOnce(ClientConnection.prototype, 'write');
    expect(await ask()).toBe('reset');
    await expectNobodyElseHarmed('visit');
  });

  test('a fault within the first bytes of a tunnel breaks the connection, and its slot goes home', async () => {
    const client = await connectClient(lone.port);
    faultOnce(Tunnel.prototype, 'onData');
    client.send('GET /upgrade HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    expect(await client.ended()).toBe('reset');
    await expectNobodyElseHarmed('visit');
  });

  test('a fault when a client leaves costs nobody a slot', async () => {
    const client = await connectClient(lone.port);
    client.send('GET /park HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await eventually('it is at the application', () => parked === 3);
    faultOnce(Exchange.prototype, 'clientGone');
    client.reset();
    await eventually('it is noted', () => newInternalErrors().client === 1);
    await expectNobodyElseHarmed('client');
  });

  test('a fault while a connection is accepted closes that one', async () => {
    faultOnce(AddressLimit.prototype, 'reserve');
    expect(await ask()).toBe('fin');
    await expectNobodyElseHarmed('listener');
  });
});

describe('HTTP/2', () => {
  const askOver2 = (session: ReturnType<typeof connectHttp2>): Promise<string> =>
    askHttp2(session, { ':path': `/${MARK}` }).then(
      ({ status }) => String(status),
      (error: Error) => error.message,
    );

  test.each([
    ['a stream begins', () => faultOnce(StreamClient.prototype, 'begin')],
    ['the answer is written', () => faultOnce(StreamClient.prototype, 'write')],
    ['its answer is said in HTTP/2', () => faultOnce(ClientStream.prototype, 'respond')],
    ['its head becomes a frame', () => faultOnce(Outlet.prototype, 'headers')],
    ['its body becomes a frame', () => faultOnce(Outlet.prototype, 'data')],
    ['the exchange ends', () => faultOnce(StreamClient.prototype, 'finished')],
  ])('a fault when %s ends that stream, and its connection goes on', async (_when, inject) => {
    const session = connectHttp2(`http://127.0.0.1:${lone.port}`);
    await once(session, 'connect');
    inject();
    const outcome = await askOver2(session);
    expect(outcome).toMatch(/^(200|500|.*NGHTTP2_INTERNAL_ERROR)$/);
    expect((await askHttp2(session, { ':path': '/again' })).status).toBe(200);
    await expectNobodyElseHarmed('visit');
  });
});

describe('the link', () => {
  test.each([
    ['a frame is cut', () => faultOnce(FrameReader.prototype, 'push')],
    ['a frame is received by the node', () => faultOnce(NodeLink.prototype, 'receive')],
    ['a frame is written', () => faultOnce(linkSocket(), 'write')],
  ])('a fault when %s ends the link, whose slots go home and come again', async (_when, inject) => {
    inject();
    // It may have to wait until a slot is home that was in use when the link broke.
    const asked = ask();
    await eventually('it is noted', () => (newInternalErrors().link ?? 0) > 0);
    await expectNobodyElseHarmed('link');
    expect([200, 502]).toContain(await asked);
  });

  test('a fault at the end of one stream does not keep the others of a lost link from hearing of it', async () => {
    faultOnce(Exchange.prototype, 'onReset');
    lone.node.routes.match('app.test')?.slots.lenders[0]?.link.link.close('the test breaks it');
    await eventually('it is noted', () => newInternalErrors().visit === 1);
    expectInternalErrors(newInternalErrors());
    gate.resolve();
    const ends = await Promise.all([innocents.http1.response().then(({ status }) => status), innocents.http2.then(({ status }) => status)]);
    expect(ends.toSorted()).toEqual([200, 500]);
    await eventually('all slots are idle', () => slots().idle === SLOTS);
  });
});

describe('the linker', () => {
  test.each([
    ['a connection is chosen', () => faultOnce(AppPool.prototype, 'open')],
    ['bytes go to the application', () => faultOnce(AppConnection.prototype, 'onData')],
    ['an exchange is done', () => faultOnce(AppConnection.prototype, 'done')],
  ])('a fault when %s ends that connection to the application', async (_when, inject) => {
    inject();
    expect([200, 502]).toContain(await ask());
    await eventually('it is noted', () => newInternalErrors().application === 1);
    await expectNobodyElseHarmed('application');
  });
});

describe('timers', () => {
  test('a fault while one client’s time is up does not keep others waiting', async () => {
    const { port } = await startLoneNode({ headTimeoutMs: 300 });
    const clients = await Promise.all(Array.from({ length: 5 }, () => connectClient(port)));
    for (const client of clients) client.send('GET / HTTP/1.1\r\n');
    const [unlucky, ...others] = clients as [RawSocket, ...RawSocket[]];
    const { localPort } = unlucky.socket;
    faultOnce(ClientConnection.prototype, 'timeOut', ({ socket }) => socket.remotePort === localPort);
    await unlucky.ended();
    for (const client of others) expect((await client.response()).status).toBe(408);
    await expectNobodyElseHarmed('client');
  });

  test('a fault while one held client is refused does not keep others held', async () => {
    const { port, node } = await startLoneNode({ routes: { 'held.test': { holdTimeout: '300ms' } } });
    const clients = await Promise.all(Array.from({ length: 3 }, () => connectClient(port)));
    for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: held.test\r\n\r\n');
    faultOnce(Exchange.prototype, 'refuse');
    const ends = await Promise.all(clients.map((client) => Promise.race([client.response().then(({ status }) => status), client.ended()])));
    expect(ends.toSorted()).toEqual([500, 503, 503]);
    expect(node.held).toBe(0);
    await expectNobodyElseHarmed('visit');
  });
});

/** What Node calls on streams of a server; its class has no name that could be imported. */
function linkSocket(): NonNullable<RawSocket['socket']> {
  const [lender] = lone.node.routes.match('app.test')?.slots.lenders ?? [];
  if (lender === undefined) throw new Error('no linker is there');
  return lender.link.link.socket;
}
