import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { settled, turns } from '../../../support/settled.ts';

afterEach(closeEverything);

function get(path: string, headers = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`;
}

describe('pipelined requests', () => {
  test('are answered in their order, a hundred of them in one write', async () => {
    const app = await ScriptedApp.serving(({ startLine }) => ok(startLine));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    const paths = Array.from({ length: 100 }, (_, i) => `/${i}`);
    client.send(paths.map((path) => get(path)).join(''));
    for (const path of paths) expect((await client.response()).text).toBe(`GET ${path} HTTP/1.1`);
    expect(client.unread).toHaveLength(0);
  });

  test('wait for the responses before theirs, however slow those are', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(get('/1') + get('/2') + get('/3'));
    const connection = await app.next();
    for (const path of ['/1', '/2', '/3']) {
      expect((await connection.request()).startLine).toBe(`GET ${path} HTTP/1.1`);
      await turns();
      // Nothing of the next one has been sent to anybody.
      expect(connection.unread).toHaveLength(0);
      expect(app.connections).toHaveLength(1);
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n');
      await turns();
      connection.send(`to${path}`);
      expect((await client.response()).text).toBe(`to${path}`);
    }
  });

  test('begin right behind the body of the one before', async () => {
    const app = await ScriptedApp.serving(({ startLine, body }) => ok(`${startLine.split(' ')[1]}=${body.toString()}`));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(
      `POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello${get('/b')}` +
        `POST /c HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${get('/d')}`,
    );
    const bodies: string[] = [];
    for (let i = 0; i < 4; i++) bodies.push((await client.response()).text);
    expect(bodies).toEqual(['/a=hello', '/b=', '/c=abc', '/d=']);
  });

  test('after an empty line too many are served', async () => {
    const app = await ScriptedApp.serving(({ startLine }) => ok(startLine));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n${get('/b')}`);
    expect((await client.response()).text).toBe('POST /a HTTP/1.1');
    expect((await client.response()).text).toBe('GET /b HTTP/1.1');
  });

  test('behind a malformed one are not served', async () => {
    const app = await ScriptedApp.serving(({ startLine }) => ok(startLine));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`${get('/a')}GET /b HTTP/1.1\r\nHost : app.test\r\n\r\n${get('/c')}`);
    expect((await client.response()).text).toBe('GET /a HTTP/1.1');
    expect(await client.response()).toMatchObject({ status: 400 });
    expect(await client.ended()).toBe('fin');
    expect(client.unread).toHaveLength(0);
    expect(app.connections[0]?.receivedBytes).toBeLessThan(400);
  });

  test('behind one with Connection: close are not served', async () => {
    const seen: string[] = [];
    const app = await ScriptedApp.serving(({ startLine }) => {
      seen.push(startLine);
      return ok('x');
    });
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(get('/a', 'Connection: close\r\n') + get('/b'));
    expect((await client.response()).values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
    expect(client.unread).toHaveLength(0);
    expect(seen).toEqual(['GET /a HTTP/1.1']);
  });

  test('of a client that does not read wait in its own memory, not in the node’s', async () => {
    const answer = ok(Buffer.alloc(30_000, 'x'), 'Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n');
    let served = 0;
    const app = await ScriptedApp.serving(() => {
      served++;
      return answer;
    });
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.pause();
    const request = get('/', `X-Padding: ${'p'.repeat(16_000)}\r\n`);
    const count = 1_000;
    for (let i = 0; i < count; i++) client.send(request);
    const whileUnread = await settled(() => served);
    // What was answered lies in the kernel's buffers; what was not asked yet lies at the client.
    expect(whileUnread).toBeLessThan(500);
    expect(client.socket.writableLength).toBeGreaterThan(500_000);
    client.discards = true;
    client.resume();
    const responseBytes = answer.length;
    await client.until(() => client.receivedBytes >= count * responseBytes);
    expect(client.receivedBytes).toBe(count * responseBytes);
  });
});
