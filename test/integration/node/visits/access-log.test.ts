/** One line a request: what is in it, and who ended it and why, over real sockets. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { VisitWatchers } from '../../../../src/node/visits/visit-watchers.ts';
import { AccessLines } from '../../../support/access-lines.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

let lines: AccessLines;

beforeEach(() => {
  lines = new AccessLines();
});

afterEach(async () => {
  closeHttp2();
  await closeEverything();
  expect(lines.left).toBe(0);
});

const GET = 'GET /a/b?secret=1 HTTP/1.1\r\nHost: app.test\r\n\r\n';
const ROUTES = { 'app.test': {} };

async function served(script: (connection: Awaited<ReturnType<ScriptedApp['next']>>) => unknown, options: LoneNodeOptions = {}) {
  const app = await ScriptedApp.listen(script);
  return startServedNode(app.port, { watchers: [lines.log], ...options });
}

async function alone(options: LoneNodeOptions = {}) {
  return startLoneNode({ watchers: [lines.log], routes: ROUTES, ...options });
}

describe('a line of the access log', () => {
  test('says what was asked, what was answered, by whom, and where the time went', async () => {
    const { port } = await served(async (to) => {
      for (;;) to.send(ok(`hello ${(await to.request()).body.length}`));
    });
    const client = await connectClient(port);
    const answered = async (request: string) => {
      const before = client.receivedBytes;
      client.send(request);
      await client.response();
      return client.receivedBytes - before;
    };
    const bytesOut = await answered(GET.replace('\r\n\r\n', '\r\nX-Request-ID: abc\r\n\r\n'));
    expect(await lines.next()).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      name: 'access',
      route: '*',
      protocol: 'HTTP/1.1',
      client: '127.0.0.1',
      host: 'app.test',
      method: 'GET',
      path: '/a/b',
      status: 200,
      bytesIn: expect.any(Number),
      bytesOut,
      holdMs: 0,
      firstByteMs: expect.any(Number),
      totalMs: expect.any(Number),
      instance: 'i1',
      attempts: 1,
      node: 'n1',
      requestId: 'abc',
      end: '--',
    });
    await answered(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5000\r\n\r\n${'x'.repeat(5_000)}`);
    const { method, bytesIn, requestId } = await lines.next();
    expect([method, Number(bytesIn) > 5_000, Number(bytesIn) < 5_600]).toEqual(['POST', true, true]);
    expect(requestId).toMatch(/^[\w-]{21}$/);
  });

  test('of a client that was held says for how long', async () => {
    const { node, port, backendPort } = await alone();
    const client = await connectClient(port);
    client.send(GET);
    await eventually('it is held', () => node.held === 1);
    const heldSince = performance.now();
    const app = await ScriptedApp.serving(() => ok());
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    await client.response();
    const { route, holdMs, totalMs } = await lines.next();
    expect(route).toBe('app.test');
    expect(Number(holdMs)).toBeLessThanOrEqual(Number(totalMs));
    expect(Number(holdMs)).toBeGreaterThan(0);
    expect(Number(totalMs)).toBeLessThan(performance.now() - heldSince + 10_000);
  });

  test('by HTTP/2 is written for each stream', async () => {
    const { port } = await served(async (to) => {
      for (;;) to.send(ok((await to.request()).body));
    });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    await askHttp2(session, { ':path': '/1' });
    expect(await lines.next()).toMatchObject({ protocol: 'HTTP/2.0', path: '/1', status: 200, end: '--', client: '127.0.0.1' });
    await askHttp2(session, { ':path': '/2', ':method': 'POST' }, 'body');
    expect(await lines.next()).toMatchObject({ method: 'POST', path: '/2', end: '--' });
  });

  test('counts the attempts of a request that went out again', async () => {
    let connections = 0;
    const { port } = await served(async (to) => {
      const first = ++connections === 1;
      await to.request();
      to.send(ok());
      await to.request();
      if (first) to.socket.destroy();
      else to.send(ok());
    });
    const client = await connectClient(port);
    client.send(GET);
    await client.response();
    await lines.next();
    client.send(GET.replace('GET', 'HEAD'));
    // The second connection waits for another request before it answers this one.
    await eventually('it goes out again', () => connections === 2);
    client.reset();
    expect(await lines.next()).toMatchObject({ attempts: 2, method: 'HEAD' });
  });

  test('is bounded, whatever a client asks for', async () => {
    const { port } = await alone();
    const client = await connectClient(port);
    client.send(`GET /${'\\"'.repeat(2_000)} HTTP/1.1\r\nHost: x.test\r\nX-Request-Id: ${'i'.repeat(5_000)}\r\n\r\n`);
    await client.response();
    const line = await lines.next();
    expect(line.path).toHaveLength(1_024);
    expect(Buffer.byteLength(JSON.stringify(line))).toBeLessThan(4_096);
  });
});

describe('who ended it and why', () => {
  const refused = 'GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n';

  test.each<[string, string, string, LoneNodeOptions, string, number]>([
    ['a malformed request', 'PR', 'bad_request', {}, 'GET / HTTP/1.1\r\n\r\n', 400],
    ['a head that is too large', 'PR', 'head_too_large', { headBytesMax: 1_024 }, `GET / HTTP/1.1\r\nX: ${'x'.repeat(2_000)}\r\n\r\n`, 431],
    ['a head that does not come', 'cR', 'head_timeout', { headTimeoutMs: 50 }, 'GET / HTTP/1.1\r\n', 408],
    ['an unknown host', 'PR', 'unknown_route', {}, refused, 404],
    ['a client that is sent to https', 'LR', 'https_only', { httpsRedirect: 443 }, GET, 308],
    ['a held client whose time is over', 'sQ', 'hold_timeout', { routes: { 'app.test': { holdTimeout: '50ms' } } }, GET, 503],
    ['a queue that is full', 'RR', 'queue_full', { heldMax: 0 }, GET, 503],
  ])('%s: %s', async (_what, end, reason, options, request, status) => {
    const { port } = await alone(options);
    const client = await connectClient(port);
    client.send(request);
    expect((await client.response()).status).toBe(status);
    expect(await lines.next()).toMatchObject({ end, reason, status, client: '127.0.0.1', protocol: 'HTTP/1.1' });
  });

  test('a browser that is shown a page: LQ', async () => {
    const { port } = await alone({ routes: { 'app.test': { waitingPageAfter: '20ms' } } });
    const client = await connectClient(port);
    client.send(GET.replace('\r\n\r\n', '\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\r\n'));
    await client.response();
    expect(await lines.next()).toMatchObject({ end: 'LQ', reason: 'waiting_page' });
  });

  test('a held client that goes: CQ; one that the node leaves: KQ', async () => {
    const { node, port } = await alone();
    const client = await connectClient(port);
    client.send(GET);
    await eventually('it is held', () => node.held === 1);
    client.reset();
    expect(await lines.next()).toMatchObject({ end: 'CQ', reason: 'client_closed', status: 499, attempts: 0 });
    const other = await connectClient(port);
    other.send(GET);
    await eventually('it is held', () => node.held === 1);
    void node.drain(50);
    expect((await other.response()).status).toBe(503);
    expect(await lines.next()).toMatchObject({ end: 'KQ', reason: 'draining', status: 503 });
  });

  test('a client that goes before its response: CH; within it: CD', async () => {
    const { port } = await served(async (to) => {
      await to.request();
      to.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    });
    const within = await connectClient(port);
    within.send(GET);
    await within.takeThrough('\r\n\r\n');
    within.reset();
    expect(await lines.next()).toMatchObject({ end: 'CD', reason: 'client_closed', status: 200 });
    const early = await connectClient(port);
    early.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n1');
    await eventually('it is served', () => lines.left === 0);
    early.reset();
    expect(await lines.next()).toMatchObject({ reason: 'client_closed', status: 499, end: expect.stringMatching(/^C[RH]$/) });
  });

  test('a client whose body does not come: cH', async () => {
    const { port } = await served(() => {}, { stallTimeoutMs: 100 });
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n1');
    expect((await client.response()).status).toBe(408);
    expect(await lines.next()).toMatchObject({ end: 'cH', status: 408 });
  });

  test.each<[string, string, string, string]>([
    ['breaks off before its answer', 'SH', 'application_broke_off', ''],
    ['answers what is none', 'PH', 'application_bad_answer', 'nonsense\r\n\r\n'],
    ['breaks off within its answer', 'SD', 'application_broke_off', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1'],
  ])('an application that %s: %s', async (_what, end, reason, answer) => {
    const { port } = await served(async (to) => {
      await to.request();
      to.end(answer);
    });
    const client = await connectClient(port);
    client.send(GET.replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 0\r\n\r\n'));
    expect(await lines.next()).toMatchObject({ end, reason, instance: 'i1' });
  });

  test('an application that is not there: SC', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port, { watchers: [lines.log] });
    app.close();
    const client = await connectClient(port);
    client.send(GET);
    expect((await client.response()).status).toBe(502);
    expect(await lines.next()).toMatchObject({ end: 'SC', reason: 'application_refused', status: 502, attempts: 3 });
  });

  test('a link that breaks within the response: DD', async () => {
    const { port, linker } = await served(async (to) => {
      await to.request();
      to.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1');
    });
    const client = await connectClient(port);
    client.send(GET);
    await client.takeThrough('1');
    linker.close();
    expect(await lines.next()).toMatchObject({ end: 'DD', reason: 'link_lost' });
  });

  test('a node that stops: K', async () => {
    const { node, port } = await served(async (to) => {
      await to.request();
      to.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1');
    });
    const client = await connectClient(port);
    client.send(GET);
    await client.takeThrough('1');
    await node.stop();
    expect(await lines.next()).toMatchObject({ end: 'KD', reason: 'node_stopped' });
  });
});

describe('what is passed through', () => {
  const TCP: LoneNodeOptions = { listen: { protocol: 'tcp', route: 'db' }, routes: { db: {} } };

  async function connected(options: LoneNodeOptions = {}) {
    const app = await ScriptedApp.listen();
    const lone = await startLoneNode({ ...TCP, watchers: [lines.log], ...options });
    const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'db' });
    const client = await connectClient(lone.port);
    return { ...lone, linker, client, connection: await app.next() };
  }

  test('a connection is one line, at its end', async () => {
    const { client, connection } = await connected();
    client.send('12345');
    await connection.take(5);
    connection.send('123');
    await client.take(3);
    expect(lines.left).toBe(0);
    client.end();
    connection.end();
    const line = await lines.next();
    expect(line).toMatchObject({ protocol: 'tcp', route: 'db', host: 'db', bytesIn: 5, bytesOut: 3, instance: 'i1', end: '--' });
    expect(['method' in line, 'path' in line, 'status' in line, 'requestId' in line]).toEqual([false, false, false, false]);
  });

  test('a client that breaks it: CC before a byte came back, CD after', async () => {
    const { client, connection, port, linker } = await connected();
    client.send('1');
    await connection.take(1);
    client.reset();
    expect(await lines.next()).toMatchObject({ end: 'CC', bytesIn: 1 });
    const other = await connectClient(port);
    await eventually('it is served', () => linker.opened.length === 2);
    await eventually('the application has it', () => linker.inUse === 1);
    other.send('hello');
    other.reset();
    expect(await lines.next()).toMatchObject({ end: 'CC' });
  });

  test('an application that breaks it: SD; silence: cD', async () => {
    const { client, connection } = await connected();
    connection.send('hello');
    await client.take(5);
    connection.reset();
    expect(await lines.next()).toMatchObject({ end: 'SD', bytesOut: 5 });
    const silent = await connected({ tcpIdleTimeoutMs: 200 });
    silent.connection.send('hello');
    await silent.client.ended();
    expect(await lines.next()).toMatchObject({ end: 'cD', reason: 'idle_timeout' });
  });

  test('a held connection that goes: CQ', async () => {
    const { node, port } = await startLoneNode({ ...TCP, watchers: [lines.log] });
    const client = await connectClient(port);
    client.send('123');
    await eventually('it is held', () => node.held === 1);
    client.reset();
    expect(await lines.next()).toMatchObject({ end: 'CQ', protocol: 'tcp', bytesIn: 3 });
  });

  test('a WebSocket is one line, at its end, with all its bytes', async () => {
    const { port } = await served(async (to) => {
      await to.request();
      to.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
      await to.take(1_000);
      to.end('x'.repeat(2_000));
    });
    const client = await connectClient(port);
    client.send(GET.replace('\r\n\r\n', '\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'));
    await client.takeThrough('\r\n\r\n');
    expect(lines.left).toBe(0);
    client.send('x'.repeat(1_000));
    await client.take(2_000);
    client.end();
    const { status, end, bytesIn, bytesOut } = await lines.next();
    expect([status, end, Number(bytesIn) > 1_000, Number(bytesOut) > 2_000]).toEqual([101, '--', true, true]);
  });
});

describe('a sample', () => {
  test('is as large as its share says, and has all that failed', async () => {
    let drawn = 0;
    lines = new AccessLines({ sample: 0.25, random: () => (drawn++ % 4) / 4 });
    const { port } = await served(async (to) => {
      for (;;) to.send(ok((await to.request()).body));
    });
    const client = await connectClient(port);
    for (let i = 0; i < 8; i++) {
      client.send(GET);
      await client.response();
    }
    expect(lines.written.map(({ end }) => end)).toEqual(['--', '--']);
    client.send('GET / HTTP/1.1\r\n\r\n');
    await client.response();
    expect(lines.written.map(({ end }) => end)).toEqual(['--', '--', 'PR']);
    for (const _ of [1, 2, 3]) await lines.next();
  });
});

test('without anybody who watches, nothing is noted', async () => {
  const app = await ScriptedApp.serving(() => ok());
  const { node, port } = await startServedNode(app.port);
  const route = node.routes.get('*');
  const visited = jest.spyOn(node.frontDoor, 'visit');
  const client = await connectClient(port);
  client.send(GET);
  await client.response();
  expect(visited.mock.calls.map(([visit]) => visit.record)).toEqual([null]);
  expect(route?.counters.codes.get(200)).toBe(1);
});

test('slots on their way here are remembered for so many routes, and no more', () => {
  const watchers = new VisitWatchers([]);
  for (let i = 0; i < 1_001; i++) watchers.coming(`r${i}`, 2, 'n2');
  expect(watchers.takeHandoff('r0')).toBeNull();
  expect([watchers.takeHandoff('r1'), watchers.takeHandoff('r1'), watchers.takeHandoff('r1')]).toEqual([
    { node: 'n2', from: expect.any(Number) },
    { node: 'n2', from: expect.any(Number) },
    null,
  ]);
});
