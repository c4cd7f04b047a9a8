import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const CHUNKED = '5;name=value;quoted="a;b"\r\nhello\r\n06\r\n world\r\n1\r\n!\r\n000;last\r\nX-Check: 1\r\nX-More: 2\r\n\r\n';
const REQUEST = `POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n${CHUNKED}`;
const RESPONSE = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n${CHUNKED}`;

describe('a chunked request', () => {
  test('reaches the application byte for byte', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(REQUEST);
    const connection = await app.next();
    await connection.takeThrough('\r\n\r\n');
    expect(await connection.takeThrough('\r\n\r\n')).toBe(CHUNKED);
    expect(connection.unread).toHaveLength(0);
  });

  test('is the same however it is split', async () => {
    const app = await ScriptedApp.serving(({ text, trailers }) => ok(`${text}|${trailers}`));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    for (let split = 1; split < REQUEST.length; split++) {
      client.send(REQUEST.slice(0, split));
      await turns(2);
      client.send(REQUEST.slice(split));
      expect((await client.response()).text).toBe('hello world!|X-Check: 1\r\nX-More: 2\r\n');
    }
    expect(app.connections).toHaveLength(1);
  });

  test.each([
    ['a size that is no number', 'xyz\r\nhello\r\n0\r\n\r\n'],
    ['a size beyond all numbers', 'fffffffffffffffff\r\nhello\r\n'],
    ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a space behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a line feed alone behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['a line feed alone in an extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['no line end behind a chunk', '5\r\nhelloX0\r\n\r\n'],
    ['a line feed alone at the end', '0\r\n\n'],
    ['a framing header in the trailers', '0\r\nContent-Length: 5\r\n\r\n'],
  ])('with %s is refused, and its connection closed', async (_what, body) => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const connection = await app.next();
    client.send(`${body}GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    const answer = await client.response();
    expect(answer.status).toBe(400);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=http_request_error']);
    expect(await client.ended()).toBe('fin');
    expect(client.unread).toHaveLength(0);
    // The application has no reason to take what it has for a request.
    await connection.ended();
    expect(connection.unread.toString()).not.toContain('smuggled');
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 0, reset: 1 });
  });

  test('that is malformed in its first bytes is refused before anybody sees it', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n');
    expect((await client.response()).status).toBe(400);
    expect(linker.opened).toEqual([]);
  });
});

describe('a chunked answer', () => {
  test('reaches the client byte for byte', async () => {
    const app = await ScriptedApp.serving(() => RESPONSE);
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await client.takeThrough('\r\n\r\n');
    expect(await client.takeThrough('\r\n\r\n')).toBe(CHUNKED);
  });

  test('is the same however it is split, and the connection goes on', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    const connection = await app.next();
    for (let split = 1; split < RESPONSE.length; split++) {
      await connection.request();
      connection.send(RESPONSE.slice(0, split));
      await turns(4);
      connection.send(RESPONSE.slice(split));
      const answer = await client.response();
      expect(answer).toMatchObject({ status: 200, text: 'hello world!', trailers: 'X-Check: 1\r\nX-More: 2\r\n' });
      client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    }
    expect(app.connections).toHaveLength(1);
    expect((await linker.ends(RESPONSE.length - 1)).kept).toBe(RESPONSE.length - 1);
  });
});

test('any bodies, in any pieces, both ways at once, come out as they went in', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    for (;;) {
      const { body } = await connection.request();
      // Answered in chunks of the size that the body's first byte says.
      const size = (body[0] ?? 0) + 1;
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      for (let at = 0; at < body.length; at += size) connection.send(chunk(body.subarray(at, at + size)));
      connection.send('0\r\n\r\n');
    }
  });
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  const bodies = fc.array(fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 6 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(bodies, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 }), async (requests, pieces) => {
      const bytes = Buffer.concat(
        requests.map((chunks) => Buffer.concat([head(), ...chunks.map((part) => chunk(part)), Buffer.from('0\r\n\r\n')])),
      );
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const piece = pieces[i % pieces.length] as number;
        client.send(bytes.subarray(at, at + piece));
        at += piece;
        await turns(1);
      }
      for (const chunks of requests) expect((await client.response()).body).toEqual(Buffer.concat(chunks));
    }),
    { numRuns: 60 },
  );
  expect(app.connections).toHaveLength(1);
});

function head(): Buffer {
  return Buffer.from('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n');
}

function chunk(content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from('\r\n')]);
}

describe('the framing of a chunked body', () => {
  const SINGLES = '1\r\nx\r\n'.repeat(20_000);
  const EXTENDED = `5;a=${'b'.repeat(200)}\r\nhello\r\n`.repeat(50);

  test.each([
    ['may be much more than its content', SINGLES, 20_000],
    ['may have extensions', EXTENDED, 250],
  ])('%s', async (_what, chunks, bytes) => {
    const app = await ScriptedApp.serving(
      ({ body }) => `HTTP/1.1 200 OK\r\nX-Came: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
    );
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    const { values, body } = await client.response();
    expect([values('x-came'), body.length]).toEqual([[String(bytes)], bytes]);
  });

  test.each([
    ['an extension', `1;a=${'b'.repeat(40_000)}`],
    ['many extensions', `1;a=${'b'.repeat(1_000)}\r\nx\r\n`.repeat(40)],
    ['zeros', '0'.repeat(40_000)],
  ])('is malformed when %s is much more than its content', async (_what, chunks) => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n${chunks}`);
    expect((await client.response()).status).toBe(400);
    const other = await connectClient(port);
    other.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    const connection = await app.next();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await other.until(() => other.receivedBytes > 0);
    connection.send(chunks);
    expect(await other.ended()).toBe('reset');
  });
});
