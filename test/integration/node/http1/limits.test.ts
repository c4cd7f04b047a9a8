import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';
import { settled, turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

async function refused(client: RawSocket, status: number): Promise<void> {
  const answer = await client.response();
  expect(answer.status).toBe(status);
  expect(answer.values('proxy-status')).toEqual(['pullproxy; error=http_request_error']);
  expect(answer.values('connection')).toEqual(['close']);
  expect(await client.ended()).toBe('fin');
}

describe('a request head', () => {
  const limit = 2_000;

  function headOf(bytes: number): string {
    const frame = 'GET / HTTP/1.1\r\nHost: app.test\r\nX-Padding: \r\n\r\n';
    return frame.replace(': \r\n\r\n', `: ${'x'.repeat(bytes - frame.length)}\r\n\r\n`);
  }

  test('of exactly the limit is served', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port, { headBytesMax: limit });
    const client = await connectClient(port);
    client.send(headOf(limit));
    expect((await client.response()).status).toBe(200);
  });

  test('of a byte more is refused with 431', async () => {
    const { port } = await startLoneNode({ headBytesMax: limit });
    const client = await connectClient(port);
    client.send(headOf(limit + 1));
    await refused(client, 431);
  });

  test('that grows without end is refused with 431 when it has come to the limit', async () => {
    const { port } = await startLoneNode({ headBytesMax: limit });
    const client = await connectClient(port);
    client.send(headOf(limit * 2).slice(0, limit));
    await turns(10);
    expect(client.receivedBytes).toBe(0);
    client.send('xx');
    await refused(client, 431);
  });

  test('with as many headers as are looked at is served, with one more refused with 431', async () => {
    const app = await ScriptedApp.serving(({ headers }) => ok(`${headers.filter(([name]) => name === 'A').length}`));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`GET / HTTP/1.1\r\nHost: app.test\r\n${'A: b\r\n'.repeat(127)}\r\n`);
    expect((await client.response()).text).toBe('127');
    client.send(`GET / HTTP/1.1\r\nHost: app.test\r\n${'A: b\r\n'.repeat(128)}\r\n`);
    await refused(client, 431);
  });

  test('whose Connection names more headers than are looked for is refused with 400', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    const names = Array.from({ length: 16 }, (_, i) => `x-${i}`);
    client.send(`GET / HTTP/1.1\r\nHost: app.test\r\nConnection: ${names.join(', ')}\r\n\r\n`);
    expect((await client.response()).status).toBe(200);
    client.send(`GET / HTTP/1.1\r\nHost: app.test\r\nConnection: ${names.join(', ')}\r\nConnection: one-more\r\n\r\n`);
    await refused(client, 400);
    const huge = await connectClient(port);
    huge.send(`GET / HTTP/1.1\r\nHost: app.test\r\nConnection: ${'x,'.repeat(8_000)}\r\n\r\n`);
    await refused(huge, 400);
  });

  test('that does not arrive in time is refused with 408', async () => {
    const { port } = await startLoneNode({ headTimeoutMs: 200 });
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: ap');
    await refused(client, 408);
  });

  test('that comes byte by byte does not get more time for each byte', async () => {
    const { port } = await startLoneNode({ headTimeoutMs: 400 });
    const client = await connectClient(port);
    const began = performance.now();
    client.send('GET / HTTP/1.1\r\n');
    const drip = setInterval(() => client.send('X-A: b\r\n'), 50);
    await refused(client, 408).finally(() => clearInterval(drip));
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test('that is slow on a connection that was idle gets the time of a head, not that of an idle connection', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port, { headTimeoutMs: 200, keepAliveTimeoutMs: 60_000 });
    const client = await connectClient(port);
    client.send(GET);
    await client.response();
    client.send('GET /sl');
    await refused(client, 408);
  });

  test('of which nothing comes ends the connection without a word', async () => {
    const { port } = await startLoneNode({ headTimeoutMs: 200 });
    const client = await connectClient(port);
    expect(await client.ended()).toBe('fin');
    expect(client.receivedBytes).toBe(0);
  });

  test('is not what empty lines are taken for', async () => {
    const { port } = await startLoneNode({ headTimeoutMs: 400 });
    const client = await connectClient(port);
    const drip = setInterval(() => client.send('\r\n'), 50);
    expect(await client.ended().finally(() => clearInterval(drip))).toBe('fin');
    expect(client.receivedBytes).toBe(0);
  });
});

test('a connection that was refused is closed soon although its client neither closes nor falls silent', async () => {
  const { port } = await startLoneNode();
  const client = await connectClient(port);
  client.send('NONSENSE\r\n\r\n');
  await client.response();
  expect(await client.ended()).toBe('fin');
  const began = performance.now();
  let broken = false;
  client.socket.once('error', () => {
    broken = true;
  });
  // Silent now: what it says after the node's close is answered by a reset.
  await eventually('its end', () => {
    if (performance.now() - began > 2_600) client.send('x');
    return broken;
  });
});

/** A node whose patience with clients is short. */
const impatient = { stallTimeoutMs: 300 };
/** Kernels tell each other of room in large steps: this is several of them at the pace at which the test reads. */
const lessImpatient = { stallTimeoutMs: 2_000 };

describe('a client that stands still', () => {
  test('within its body is told so with 408, and its slot is free', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, impatient);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhello');
    const connection = await app.next();
    await refused(client, 408);
    await connection.ended();
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('within its response is broken off, and its slot is free', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, impatient);
    const client = await connectClient(port);
    client.pause();
    client.send(GET);
    const connection = await app.next();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
    for (let i = 0; i < 20; i++) connection.send(Buffer.alloc(1_000_000));
    await connection.ended();
    await eventually('the slot is idle', () => node.active === 0);
    client.resume();
    expect(await client.ended()).toBe('reset');
  });

  test('with responses unread and requests unsent is broken off', async () => {
    const app = await ScriptedApp.serving(() => ok(Buffer.alloc(100_000)));
    const { port } = await startServedNode(app.port, { ...impatient, keepAliveTimeoutMs: 300 });
    const client = await connectClient(port);
    client.pause();
    for (let i = 0; i < 300; i++) client.send(GET);
    await settled(() => app.connections[0]?.receivedBytes ?? 0);
    await passed(1_300);
    client.resume();
    expect(await client.ended()).toBe('reset');
  });

  test('because it waits for its response, or because the application does not read, is waited for', async () => {
    const app = await ScriptedApp.listen((connection) => connection.pause());
    const { port, node } = await startServedNode(app.port, impatient);
    const [waits, blocked] = [await connectClient(port), await connectClient(port)];
    waits.send(GET);
    blocked.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\n');
    for (let i = 0; i < 20; i++) blocked.send(Buffer.alloc(1_000_000));
    await eventually('two requests at the application', () => app.connections.length === 2);
    await passed(1_200);
    expect(node.active).toBe(2);
    expect([waits.ending, blocked.ending]).toEqual([null, null]);
    for (const connection of app.connections) connection.send(ok('patience'));
    expect([(await waits.response()).text, (await blocked.response()).text]).toEqual(['patience', 'patience']);
  });

  test('because it waits for a 100 (Continue) that its application does not send occupies the slot no longer than without', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, impatient);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    await eventually('a request at the application', () => app.connections.length === 1);
    expect((await client.response('POST')).status).toBe(408);
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('but reads slowly is not broken off', async () => {
    const body = Buffer.alloc(30_000_000, 'x');
    const app = await ScriptedApp.serving(() => ok(body));
    const { port } = await startServedNode(app.port, lessImpatient);
    const client = await connectClient(port);
    client.discards = true;
    client.send(GET);
    let reads = true;
    // Reads for an instant every now and then, over several times the limit.
    const tick = setInterval(() => {
      client.resume();
      setImmediate(() => {
        if (reads) client.pause();
      });
    }, 20);
    await passed(6_000);
    clearInterval(tick);
    reads = false;
    client.resume();
    await client.until(() => client.receivedBytes > body.length);
    expect(client.ending).toBeNull();
  });
});

/** What must not happen is given the time to. */
async function passed(ms: number): Promise<void> {
  const until = performance.now() + ms;
  await eventually(`${ms} ms are over`, () => performance.now() >= until);
}
