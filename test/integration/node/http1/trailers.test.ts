import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const ALLOWED = 'X-Check: 1\r\nServer-Timing: db;dur=3\r\n';
/** Fields that an application would believe if it merged trailers into the head. */
const FORBIDDEN_IN_BOTH = [
  'Authorization: Bearer stolen',
  'Host: other.test',
  'Connection: close',
  'Upgrade: websocket',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: close',
  'Set-Cookie: a=1',
  'Cookie: a=1',
  'Content-Type: text/html',
  'Content-Encoding: gzip',
  'content_type: text/html',
  'TE: trailers',
  'Trailer: X-Check',
  'Expect: 100-continue',
  'Range: bytes=0-0',
  'Cache-Control: no-store',
];
const FORBIDDEN_IN_REQUESTS = [
  'X-Forwarded-For: 10.0.0.1',
  'x-forwarded-proto: https',
  'X-Forwarded-Anything: 1',
  'X_Forwarded_For: 10.0.0.1',
  'Forwarded: for=10.0.0.1',
  'X-Request-Id: mine',
  'Via: 1.1 other',
];

function request(trailers: string): string {
  return `POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n${trailers}\r\n`;
}

async function trailersAtApplication(trailers: string): Promise<string> {
  const app = await ScriptedApp.serving((message) => ok(message.trailers));
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send(request(trailers));
  return (await client.response()).text;
}

async function trailersAtClient(trailers: string): Promise<string> {
  const app = await ScriptedApp.serving(() => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n${trailers}\r\n`);
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  const { text, trailers: seen } = await client.response();
  expect(text).toBe('hello');
  return seen;
}

describe("a request's trailers", () => {
  test.each([...FORBIDDEN_IN_BOTH, ...FORBIDDEN_IN_REQUESTS])('reach the application without %s', async (line) => {
    expect(await trailersAtApplication(`${ALLOWED}${line}\r\nX-Last: 2\r\n`)).toBe(`${ALLOWED}X-Last: 2\r\n`);
  });

  test('are none when every field is forbidden', async () => {
    expect(await trailersAtApplication('Host: other.test\r\nAuthorization: x\r\n')).toBe('');
  });

  test('are cleaned wherever the bytes are split', async () => {
    const app = await ScriptedApp.serving(({ text, trailers }) => ok(`${text}|${trailers}`));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    const whole = request('X-Check: 1\r\nHost: other.test\r\nX-Last: 2\r\n');
    for (let split = whole.indexOf('0\r\nX-Check') - 3; split < whole.length; split++) {
      client.send(whole.slice(0, split));
      await turns(2);
      client.send(whole.slice(split));
      expect((await client.response()).text).toBe('hello|X-Check: 1\r\nX-Last: 2\r\n');
    }
    expect(app.connections).toHaveLength(1);
  });

  test('arrive byte by byte, and the next request on the connection is its own', async () => {
    const app = await ScriptedApp.serving(({ startLine, trailers }) => ok(`${startLine.split(' ')[1]}|${trailers}`));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    for (const byte of request('Host: other.test\r\nX-Last: 2\r\n')) {
      client.send(byte);
      await turns(1);
    }
    client.send('GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.response()).text).toBe('/|X-Last: 2\r\n');
    expect((await client.response()).text).toBe('/next|');
  });

  test('are passed on up to 16 KiB', async () => {
    expect((await trailersAtApplication(`X-Long: ${'a'.repeat(1_000)}\r\n`.repeat(16))).length).toBe(16 * 1_010);
  });

  test.each([17, 200])('of %i KB are refused, and the application sees no complete request', async (lines) => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n');
    const connection = await app.next();
    await connection.takeThrough('\r\n0\r\n');
    client.send(`X-Long: ${'a'.repeat(1_000)}\r\n`.repeat(lines));
    expect((await client.response()).status).toBe(400);
    await connection.ended();
    expect(connection.unread).toHaveLength(0);
  });
});

describe("an answer's trailers", () => {
  test.each(FORBIDDEN_IN_BOTH)('reach the client without %s', async (line) => {
    expect(await trailersAtClient(`${ALLOWED}${line}\r\nX-Last: 2\r\n`)).toBe(`${ALLOWED}X-Last: 2\r\n`);
  });

  test("keep the application's own X-Request-Id", async () => {
    expect(await trailersAtClient('X-Request-Id: 7\r\n')).toBe('X-Request-Id: 7\r\n');
  });

  test('that have no end break the response off', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    const connection = await app.next();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n');
    await client.takeThrough('0\r\n');
    connection.send('X-Long: aaaa\r\n'.repeat(2_000));
    await connection.ended();
    await client.ended();
    expect(client.unread).toHaveLength(0);
  });
});
