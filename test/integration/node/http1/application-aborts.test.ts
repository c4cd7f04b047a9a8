import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../../src/linker/free-port.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

async function exchange(request = GET) {
  const app = await ScriptedApp.listen();
  const served = await startServedNode(app.port);
  const client = await connectClient(served.port);
  client.send(request);
  const connection = await app.next();
  await connection.takeThrough('\r\n\r\n');
  return { ...served, app, client, connection };
}

/** Still good for another request. */
async function goesOn(client: RawSocket, app: ScriptedApp): Promise<void> {
  client.send(GET);
  const connection = await app.next();
  await connection.request();
  connection.send(ok('fine'));
  expect((await client.response()).text).toBe('fine');
}

describe.each([
  ['FIN', (connection: RawSocket) => connection.end()],
  ['RST', (connection: RawSocket) => connection.reset()],
])('an application that ends with %s', (how, leave) => {
  test('before its response: 502', async () => {
    const { app, client, connection } = await exchange();
    leave(connection);
    const answer = await client.response();
    expect(answer.status).toBe(502);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=connection_terminated']);
    await goesOn(client, app);
  });

  test('within its head: 502', async () => {
    const { app, client, connection } = await exchange();
    connection.send('HTTP/1.1 200 OK\r\nContent-Le');
    leave(connection);
    expect((await client.response()).status).toBe(502);
    await goesOn(client, app);
  });

  test('after an interim response: 502', async () => {
    const { app, client, connection } = await exchange();
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    expect((await client.response()).status).toBe(103);
    leave(connection);
    expect((await client.response()).status).toBe(502);
    await goesOn(client, app);
  });

  test('before its response, to a body that has not come whole: 502 and the end', async () => {
    const { client, connection } = await exchange('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhello');
    leave(connection);
    const answer = await client.response();
    expect(answer.status).toBe(502);
    expect(answer.values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
  });

  test('within a body of known length: the client sees a broken connection', async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello');
    await client.takeThrough('hello');
    leave(connection);
    expect(await client.ended()).toBe('reset');
  });

  test.each(['', '5\r', '5\r\nhel', '5\r\nhello', '5\r\nhello\r\n', '5\r\nhello\r\n0\r\n', '5\r\nhello\r\n0\r\nTrailer: a\r\n'])(
    'within chunks, after %j: the client sees a broken connection',
    async (chunks) => {
      const { client, connection } = await exchange();
      connection.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
      // Trailers wait for their end.
      await client.takeThrough(`\r\n\r\n${chunks.replace(/Trailer.*$/s, '')}`);
      leave(connection);
      expect(await client.ended()).toBe('reset');
    },
  );

  test(`within a body that ends with the connection: ${how === 'FIN' ? 'that is its end' : 'the client sees a broken connection'}`, async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.1 200 OK\r\n\r\nhello');
    await client.takeThrough('hello');
    leave(connection);
    expect(await client.ended()).toBe(how === 'FIN' ? 'fin' : 'reset');
  });
});

test('a response that is broken off while the client reads slowly is never taken for the whole', async () => {
  const { client, connection } = await exchange();
  client.pause();
  connection.send('HTTP/1.1 200 OK\r\n\r\n');
  connection.send(Buffer.alloc(10_000_000, 'x'));
  await new Promise((resolve) => setImmediate(resolve));
  connection.reset();
  client.discards = true;
  client.resume();
  expect(await client.ended()).toBe('reset');
});

test('an application that accepts no connection: 502', async () => {
  const { port, linker } = await startServedNode(await freePort());
  const client = await connectClient(port);
  client.send(GET);
  const answer = await client.response();
  expect(answer.status).toBe(502);
  expect(answer.values('proxy-status')).toEqual(['pullproxy; error=connection_refused']);
  // Nothing had reached it, so it was tried several times, and not for ever.
  expect(linker.opened).toHaveLength(3);
});

test('an application that accepts connections again serves the request that it refused before', async () => {
  const port = await freePort();
  const { port: nodePort, linker } = await startServedNode(port);
  const server = createServer((socket) => socket.once('data', () => socket.write(ok('back again'))));
  let refused = 0;
  linker.intercept = (stream, _flags, link) => {
    if (refused++ > 0) return false;
    server.listen(port, '127.0.0.1', () => link.free(stream, 1, false, false));
    return true;
  };
  const client = await connectClient(nodePort);
  client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello');
  expect(await client.response()).toMatchObject({ status: 200, text: 'back again' });
  server.close();
  client.end();
  linker.close();
  await once(server, 'close');
});
