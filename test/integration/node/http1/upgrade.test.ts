import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, type LoneNodeOptions, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { settled, turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n';
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n';

async function asked(request = UPGRADE, options: LoneNodeOptions = {}) {
  const app = await ScriptedApp.listen();
  const served = await startServedNode(app.port, options);
  const client = await connectClient(served.port);
  client.send(request);
  const connection = await app.next();
  return { ...served, app, client, connection, head: await connection.takeThrough('\r\n\r\n') };
}

async function tunnelled(options?: LoneNodeOptions) {
  const all = await asked(UPGRADE, options);
  all.connection.send(SWITCHING);
  await all.client.takeThrough('\r\n\r\n');
  return all;
}

describe('an Upgrade', () => {
  test('is asked for and answered with its hop-by-hop headers', async () => {
    const { client, connection, head } = await asked();
    expect(head).toContain('\r\nUpgrade: websocket\r\n');
    expect(head).toContain('\r\nConnection: upgrade\r\n');
    expect(head).not.toContain('keep-alive');
    connection.send(SWITCHING);
    expect(await client.takeThrough('\r\n\r\n')).toBe(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\nConnection: upgrade\r\n\r\n',
    );
  });

  test('carries bytes both ways, whatever they are', async () => {
    const { client, connection } = await tunnelled();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    client.send('GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n');
    connection.send(bytes);
    expect(await connection.takeThrough('\r\n\r\n')).toBe('GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n');
    expect(await client.take(256)).toEqual(bytes);
    client.send(bytes);
    expect(await connection.take(256)).toEqual(bytes);
  });

  test('passes on what came with the response, and what the client had sent already', async () => {
    const { client, connection } = await asked(`${UPGRADE}early`);
    await turns();
    expect(connection.unread).toHaveLength(0);
    connection.send(`${SWITCHING}first`);
    await client.takeThrough('\r\n\r\n');
    expect((await client.take(5)).toString()).toBe('first');
    expect((await connection.take(5)).toString()).toBe('early');
  });

  test('whose client ends first still brings it what the application says', async () => {
    const { client, connection, linker } = await tunnelled();
    client.end('last words');
    expect((await connection.take(10)).toString()).toBe('last words');
    expect(await connection.ended()).toBe('fin');
    await turns();
    connection.send('answer');
    expect((await client.take(6)).toString()).toBe('answer');
    expect(linker.inUse).toBe(1);
    connection.end('bye');
    expect((await client.take(3)).toString()).toBe('bye');
    expect(await client.ended()).toBe('fin');
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('whose application ends first still brings it what the client says', async () => {
    const { client, connection, linker } = await tunnelled();
    connection.end('bye');
    expect((await client.take(3)).toString()).toBe('bye');
    expect(await client.ended()).toBe('fin');
    client.send('still here');
    expect((await connection.take(10)).toString()).toBe('still here');
    client.end();
    expect(await connection.ended()).toBe('fin');
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('loses nothing when both end while much is on its way', async () => {
    const { client, connection, linker } = await tunnelled();
    const much = Buffer.alloc(3_000_000, 'x');
    connection.pause();
    client.pause();
    client.end(much);
    connection.end(much);
    await settled(() => client.socket.writableLength + connection.socket.writableLength);
    connection.resume();
    client.resume();
    await Promise.all([client.ended(), connection.ended()]);
    expect([client.ending, connection.ending]).toEqual(['fin', 'fin']);
    expect([client.unread.length, connection.unread.length]).toEqual([much.length, much.length]);
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
  });

  test('stops a sender whose reader is slow, in both directions', async () => {
    const { client, connection } = await tunnelled();
    const piece = Buffer.alloc(1_000_000, 'x');
    connection.pause();
    for (let i = 0; i < 40; i++) client.send(piece);
    expect(await settled(() => client.socket.writableLength)).toBeGreaterThan(5_000_000);
    client.pause();
    for (let i = 0; i < 40; i++) connection.send(piece);
    expect(await settled(() => connection.socket.writableLength)).toBeGreaterThan(5_000_000);
    client.discards = connection.discards = true;
    client.resume();
    connection.resume();
    await client.until(() => client.receivedBytes > 40_000_000);
    await connection.until(() => connection.receivedBytes > 40_000_000);
  });

  test.each(['client', 'application'] as const)('that the %s breaks is broken for the other side', async (who) => {
    const { client, connection, linker } = await tunnelled();
    const [breaks, sees] = who === 'client' ? [client, connection] : [connection, client];
    breaks.reset();
    if (who === 'client') await sees.ended();
    else expect(await sees.ended()).toBe('reset');
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('is asked on in front of other requests, and refused: they are served', async () => {
    const { client, connection } = await asked(`${UPGRADE}GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    connection.send(ok('no'));
    const answer = await client.response();
    expect(answer).toMatchObject({ status: 200, text: 'no' });
    expect(answer.values('connection')).toEqual([]);
    expect((await connection.request()).startLine).toBe('GET /next HTTP/1.1');
    connection.send(ok('next'));
    expect((await client.response()).text).toBe('next');
  });

  test('that is required (426) says to what', async () => {
    const { client, connection } = await asked('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    connection.send('HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\nContent-Length: 0\r\n\r\n');
    const answer = await client.response();
    expect(answer.values('upgrade')).toEqual(['foo/2']);
    expect(answer.values('connection')).toEqual(['upgrade']);
  });

  test('is not announced on other answers', async () => {
    const { client, connection } = await asked('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    connection.send('HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 0\r\n\r\n');
    const answer = await client.response();
    expect(answer.values('upgrade')).toEqual([]);
    expect(answer.values('connection')).toEqual([]);
  });

  test.each([
    ['to h2c', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'],
    ['to h2c among others', 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n'],
    ['to h2c in a second header', 'Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n'],
    ['that Connection does not name', 'Upgrade: websocket\r\n'],
  ])('%s is not passed on', async (_what, headers) => {
    const { client, connection, head } = await asked(`GET / HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`);
    expect(head.toLowerCase()).not.toMatch(/^(upgrade|connection|http2-settings):/m);
    // A response with 101 is not understood nevertheless.
    connection.send(SWITCHING);
    expect((await client.response()).status).toBe(502);
  });

  test('that is answered before its request is complete is not understood', async () => {
    const { client, connection } = await asked(
      'POST / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 10\r\n\r\nhello',
    );
    connection.send(SWITCHING);
    expect((await client.response()).status).toBe(502);
  });
});

describe('a tunnel through which nothing moves', () => {
  test('is closed after its time, on both sides, and its slot is free', async () => {
    const { client, connection, node } = await tunnelled({ upgradeIdleTimeoutMs: 400 });
    expect(await client.ended()).toBe('fin');
    await connection.ended();
    await eventually('the slot is free', () => node.active === 0);
  });

  test('lives on as long as something moves, in whichever direction', async () => {
    const { client, connection } = await tunnelled({ upgradeIdleTimeoutMs: 1_000 });
    for (let i = 0, until = performance.now() + 2_500; performance.now() < until; i++) {
      const [from, to] = i % 20 < 10 ? [client, connection] : [connection, client];
      from.send('x');
      expect((await to.take(1)).toString()).toBe('x');
    }
    expect([client.ending, connection.ending]).toEqual([null, null]);
  });
});
