import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { undated } from '../../../support/http-message.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

async function clientOf(answer: string | Buffer) {
  const app = await ScriptedApp.serving(() => answer);
  const served = await startServedNode(app.port);
  return { ...served, app, client: await connectClient(served.port) };
}

describe('an HTTP/1.0 client', () => {
  test('gets one answer a connection', async () => {
    const { client } = await clientOf(ok('hello'));
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    const answer = await client.response();
    expect(answer).toMatchObject({ startLine: 'HTTP/1.1 200 OK', text: 'hello' });
    expect(answer.values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
  });

  test('gets several when it says keep-alive, and is told so', async () => {
    const { client } = await clientOf(ok('hello'));
    for (let i = 0; i < 3; i++) {
      client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n');
      const answer = await client.response();
      expect(answer.text).toBe('hello');
      expect(answer.values('connection')).toEqual(['keep-alive']);
    }
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive, close\r\n\r\n');
    expect((await client.response()).values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
  });

  test('is served without Host by the route of any host', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET /x HTTP/1.0\r\n\r\n');
    const request = await (await app.next()).request();
    // The application gets our version, and what that demands (RFC 9110 section 6.2, RFC 9112 section 3.2).
    expect(request.startLine).toBe('GET /x HTTP/1.1');
    expect(request.values('host')).toEqual(['']);
    expect(request.values('via')).toEqual(['1.0 pullproxy']);
    expect(request.values('connection')).toEqual([]);
    expect(request.values('x-forwarded-host')).toEqual([]);
  });

  test('gets a chunked answer without chunks, up to the end of the connection', async () => {
    const { client, linker } = await clientOf(
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n',
    );
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n');
    const answer = await client.response();
    expect(undated(answer.head)).toBe('HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\n');
    expect(answer.text).toBe('hello world');
    expect((await linker.ends(1)).kept).toBe(1);
  });

  test('gets it whole however it is split', async () => {
    const bytes = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n6\r\n world\r\n0\r\n\r\n';
    let split = 0;
    const app = await ScriptedApp.listen(async (connection) => {
      for (;;) {
        await connection.request();
        connection.send(bytes.slice(0, split));
        await turns(3);
        connection.send(bytes.slice(split));
      }
    });
    const { port } = await startServedNode(app.port);
    for (split = 1; split < bytes.length; split++) {
      const client = await connectClient(port);
      client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
      expect((await client.response()).text).toBe('hello world');
    }
  });

  test('sees a broken connection when such a response is cut short', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.takeThrough('hello');
    connection.end();
    expect(await client.ended()).toBe('reset');
  });

  test('hears of no interim responses, and its expectations go no further', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.0\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok');
    const connection = await app.next();
    expect((await connection.request()).values('expect')).toEqual([]);
    connection.send(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok('done').toString()}`);
    expect(await client.response()).toMatchObject({ status: 200, text: 'done' });
  });

  test('can’t upgrade', async () => {
    const { app, client } = await clientOf(ok());
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.response();
    expect(app.connections).toHaveLength(1);
  });
});
