/** The least rate of bodies: how it is counted, and what it does to clients. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { type BodyRate, ReadingPace, RequestPace } from '../../../../src/node/http1/pace.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

const timers = new Set<NodeJS.Timeout>();

afterEach(async () => {
  for (const timer of timers) clearInterval(timer);
  timers.clear();
  await closeEverything();
});

/** Sends `bytes` again and again. */
function trickle(client: RawSocket, bytes: string | Buffer, everyMs = 50): void {
  timers.add(setInterval(() => client.socket.writable && client.send(bytes), everyMs));
}

const post = (length: number): string => `POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${length}\r\n\r\n`;

describe('the time that a client has left for its body', () => {
  const rate: BodyRate = { bodyRateMin: 100, bodyGraceMs: 1_000, stallTimeoutMs: 5_000 };

  test('is the grace at first, or the stall timeout where that is shorter', () => {
    expect(new RequestPace(rate, 0, false).leftMs(0)).toBe(1_000);
    expect(new RequestPace({ ...rate, stallTimeoutMs: 300 }, 0, false).leftMs(0)).toBe(300);
  });

  test('is the stall timeout for one that may wait for a 100 (Continue)', () => {
    expect(new RequestPace(rate, 0, true).leftMs(0)).toBe(5_000);
  });

  test('grows with what comes, by the rate, up to the stall timeout', () => {
    const pace = new RequestPace(rate, 0, false);
    pace.got(50, 800);
    expect(pace.leftMs(800)).toBe(700);
    pace.got(1_000_000, 900);
    expect(pace.leftMs(900)).toBe(5_000);
    expect(pace.leftMs(5_900)).toBe(0);
  });

  test('does not depend on how long the body has taken', () => {
    const pace = new RequestPace(rate, 0, false);
    for (let now = 100; now <= 1_000_000; now += 100) pace.got(10, now);
    expect(pace.leftMs(1_000_000)).toBe(1_000);
  });

  test('does not pass while the client is not read', () => {
    const pace = new RequestPace(rate, 0, false);
    pace.pause(400);
    expect(pace.leftMs(1_000_000)).toBe(600);
    pace.resume(1_000_000);
    expect(pace.leftMs(1_000_100)).toBe(500);
  });

  test('is given by any byte where no rate is set', () => {
    const pace = new RequestPace({ ...rate, bodyRateMin: 0 }, 0, false);
    expect(pace.leftMs(0)).toBe(5_000);
    pace.got(1, 4_999);
    expect(pace.leftMs(4_999)).toBe(5_000);
  });
});

describe('the time that a client has left to read', () => {
  const rate: BodyRate = { bodyRateMin: 100, bodyGraceMs: 1_000, stallTimeoutMs: 5_000 };

  test('passes only while something waits for it', () => {
    const pace = new ReadingPace(rate);
    expect(pace.leftMs(100_000, 0)).toBe(5_000);
    pace.full(100_000, 0);
    expect(pace.leftMs(104_000, 0)).toBe(1_000);
    pace.drained();
    expect(pace.leftMs(200_000, 0)).toBe(5_000);
  });

  test('is over after a stall timeout in which it has taken less than the rate', () => {
    for (const [taken, left] of [
      [0, 0],
      [499, 0],
      [500, 5_000],
    ] as const) {
      const pace = new ReadingPace(rate);
      pace.full(0, 1_000);
      expect(pace.leftMs(5_000, 1_000 + taken)).toBe(left);
    }
  });

  test('counts from the last time that it had taken enough', () => {
    const pace = new ReadingPace(rate);
    pace.full(0, 0);
    pace.leftMs(5_000, 1_000_000);
    expect(pace.leftMs(10_000, 1_000_010)).toBe(0);
  });
});

describe('a body', () => {
  const rate = { bodyRateMin: 1_000, bodyGraceMs: 500 };

  test('that comes byte by byte is answered with 408, and its slot is free', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, rate);
    const client = await connectClient(port);
    client.send(post(100_000));
    trickle(client, 'x');
    expect((await client.response('POST')).status).toBe(408);
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('of chunks that comes byte by byte is answered with 408', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, rate);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n');
    trickle(client, '1\r\nx\r\n');
    expect((await client.response('POST')).status).toBe(408);
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('that came fast does not earn more than a stall timeout by that', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, { ...rate, stallTimeoutMs: 1_000 });
    const client = await connectClient(port);
    client.send(post(100_000_000));
    client.send(Buffer.alloc(1_000_000));
    trickle(client, 'x');
    expect((await client.response('POST')).status).toBe(408);
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('that comes at more than the rate may take long', async () => {
    const app = await ScriptedApp.serving(() => ok('whole'));
    const { port } = await startServedNode(app.port, rate);
    const client = await connectClient(port);
    client.send(post(10_000));
    trickle(client, 'x'.repeat(200));
    expect((await client.response('POST')).text).toBe('whole');
  });

  test('is not too slow because it waited for a slot', async () => {
    const app = await ScriptedApp.serving(() => ok('whole'));
    const { port, backendPort, node } = await startLoneNode({ ...rate, bodyGraceMs: 300, routes: { 'app.test': {} } });
    const client = await connectClient(port);
    client.send(`${post(4)}ab`);
    await eventually('it is held', () => node.held === 1);
    const since = performance.now();
    await eventually('the grace is over', () => performance.now() - since > 1_000);
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    await app.next();
    client.send('cd');
    expect((await client.response('POST')).text).toBe('whole');
  });

  test('is not too slow because the application reads slowly', async () => {
    const app = await ScriptedApp.listen((connection) => connection.pause());
    const { port } = await startServedNode(app.port, { bodyRateMin: 1_000_000, bodyGraceMs: 300, stallTimeoutMs: 600 });
    const client = await connectClient(port);
    client.send(post(20_000_000));
    client.send(Buffer.alloc(20_000_000));
    const connection = await app.next();
    const since = performance.now();
    await eventually('several stall timeouts are over', () => performance.now() - since > 2_000);
    expect(client.ending).toBeNull();
    connection.discards = true;
    connection.resume();
    await connection.until(() => connection.receivedBytes > 20_000_000);
    connection.send(ok('whole'));
    expect((await client.response('POST')).text).toBe('whole');
  });

  test('goes on byte by byte where no rate is set', async () => {
    const app = await ScriptedApp.serving(() => ok('whole'));
    const { port } = await startServedNode(app.port, { bodyRateMin: 0, bodyGraceMs: 100, stallTimeoutMs: 1_000 });
    const client = await connectClient(port);
    client.send(post(60));
    trickle(client, 'x');
    expect((await client.response('POST')).text).toBe('whole');
  });

  test('may come slowly once its response has begun', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, { bodyRateMin: 1_000, bodyGraceMs: 100, stallTimeoutMs: 200 });
    const client = await connectClient(port);
    client.send(post(100));
    const connection = await app.next();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.takeThrough('\r\n\r\n');
    const since = performance.now();
    await eventually('several stall timeouts are over', () => performance.now() - since > 1_200);
    expect(node.active).toBe(1);
    expect(client.ending).toBeNull();
  });
});

test('a client that does not read its response is broken off although it goes on sending', async () => {
  const app = await ScriptedApp.listen();
  const { port, node } = await startServedNode(app.port, { stallTimeoutMs: 500 });
  const client = await connectClient(port);
  client.pause();
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  const connection = await app.next();
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
  for (let i = 0; i < 20; i++) connection.send(Buffer.alloc(1_000_000));
  trickle(client, 'x');
  await connection.ended();
  await eventually('the slot is idle', () => node.active === 0);
});
