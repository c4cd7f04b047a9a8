import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

afterEach(closeEverything);

describe('a connection of a client', () => {
  test('serves one request after the other', async () => {
    const app = await ScriptedApp.serving(({ startLine }) => `HTTP/1.1 200 OK\r\nContent-Length: ${startLine.length}\r\n\r\n${startLine}`);
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    for (const path of ['/a', '/b', '/c']) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: app.test\r\n\r\n`);
      expect(await client.response()).toMatchObject({ status: 200, text: `GET ${path} HTTP/1.1` });
    }
    expect(app.connections).toHaveLength(1);
  });

  test('ends after the response when the client says close', async () => {
    const app = await ScriptedApp.serving(() => HELLO);
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n');
    const answer = await client.response();
    expect(answer).toMatchObject({ status: 200, text: 'hello' });
    expect(answer.values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
    // That is between the client and the node.
    expect(await linker.ends(1)).toEqual({ kept: 1, closed: 0, reset: 0 });
  });

  test('goes on when the application says close', async () => {
    const app = await ScriptedApp.serving(() => 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello');
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    for (let i = 0; i < 3; i++) {
      client.send(GET);
      const answer = await client.response();
      expect(answer.text).toBe('hello');
      expect(answer.values('connection')).toEqual([]);
    }
    expect(await linker.ends(3)).toEqual({ kept: 0, closed: 3, reset: 0 });
    expect(app.connections).toHaveLength(3);
  });

  test('sees the end of a response that ends with the connection', async () => {
    const app = await ScriptedApp.listen(async (connection) => {
      await connection.request();
      connection.send('HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nuntil ');
      connection.end('the end');
    });
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(GET);
    const answer = await client.response();
    expect(answer.text).toBe('until the end');
    expect(answer.values('connection')).toEqual(['close']);
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
  });

  test('ends without a word when it is idle for too long', async () => {
    const app = await ScriptedApp.serving(() => HELLO);
    const { port } = await startServedNode(app.port, { keepAliveTimeoutMs: 300 });
    const client = await connectClient(port);
    client.send(GET);
    await client.response();
    expect(await client.ended()).toBe('fin');
    expect(client.unread).toHaveLength(0);
  });

  test('is not kept for an application that sends more than its response', async () => {
    const app = await ScriptedApp.serving(() => `${HELLO}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad`);
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(GET + GET);
    expect(await client.response()).toMatchObject({ status: 200, text: 'hello' });
    expect(await client.response()).toMatchObject({ status: 200, text: 'hello' });
    expect(client.unread).toHaveLength(0);
    expect(app.connections).toHaveLength(2);
    expect(await linker.ends(2)).toEqual({ kept: 0, closed: 2, reset: 0 });
  });
});
