/** Answers that HTTP/1.1 can say and HTTP/2 can't: what can be told is told, and nothing ends but the one stream. */
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { block, requestBlock } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

/** Each has no place in an answer of HTTP/2. */
const FORBIDDEN: readonly (readonly [string, string])[] = [
  ['http2-settings', 'AAMAAABkAAQCAAAAAAIAAAAA'],
  ['te', 'gzip'],
  ['te', 'trailers'],
  ['keep-alive', 'timeout=5'],
  ['proxy-connection', 'keep-alive'],
  ['upgrade', 'h2c'],
];
/** Names of an object's own. */
const NAMES = ['constructor', '__proto__', 'prototype', 'tostring', 'hasownproperty', '__definegetter__', 'valueof', '0', 'then'];

type Place = 'head' | 'interim answer' | 'trailers';
const PLACES: readonly Place[] = ['head', 'interim answer', 'trailers'];

/** An answer with these fields at one place. */
function answerWith(place: Place, fields: readonly (readonly [string, string])[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  if (place === 'head') return `HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`;
  if (place === 'interim answer') return `HTTP/1.1 103 Early Hints\r\n${lines}\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`;
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${lines}\r\n`;
}

interface Answered {
  readonly text: string;
  readonly at: Record<Place, IncomingHttpHeaders>;
}

async function ask(port: number): Promise<Answered> {
  const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':authority': 'app.test' });
  const at: Record<Place, IncomingHttpHeaders> = { head: {}, 'interim answer': {}, trailers: {} };
  const chunks: Buffer[] = [];
  stream.on('headers', (headers) => {
    at['interim answer'] = headers;
  });
  stream.on('response', (headers) => {
    at.head = headers;
  });
  stream.on('trailers', (headers) => {
    at.trailers = headers;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  expect(stream.rstCode).toBe(0);
  return { text: Buffer.concat(chunks).toString(), at };
}

describe.each(PLACES)('in the %s', (place) => {
  test.each(FORBIDDEN)('%s: %s of an application of HTTP/1.1 is left out', async (name, value) => {
    const app = await ScriptedApp.serving(() => answerWith(place, [[name, value]]));
    const { port } = await startServedNode(app.port);
    const { text, at } = await ask(port);
    expect([text, at[place][name]]).toEqual(['ok', undefined]);
  });

  test('names of an object’s own are names like any other', async () => {
    const fields = NAMES.map((name) => [name, `value of ${name}`] as const);
    const app = await ScriptedApp.serving(() => answerWith(place, fields));
    const { port } = await startServedNode(app.port);
    const { text, at } = await ask(port);
    expect([text, NAMES.map((name) => Object.entries(at[place]).find(([key]) => key === name)?.[1])]).toEqual([
      'ok',
      fields.map(([, value]) => value),
    ]);
  });

  test('each of them also from an application of HTTP/2', async () => {
    const fields = NAMES.map((name) => [name, `value of ${name}`] as const);
    const app = await ScriptedApp.listen(async (connection) => {
      const application = await FramePeer.application(connection);
      await application.until(1);
      // The other ones make the answer malformed.
      const odd = block([...fields, ['http2-settings', 'AAMAAABk'], ['te', 'trailers']]);
      if (place === 'interim answer') application.headers(1, Buffer.concat([block([[':status', '103']]), odd]));
      application.headers(1, place === 'head' ? Buffer.concat([block([[':status', '200']]), odd]) : block([[':status', '200']]));
      application.data(1, 'ok', place !== 'trailers');
      if (place === 'trailers') application.headers(1, odd, true);
    });
    const { port, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const { text, at } = await ask(port);
    expect([text, at[place]['http2-settings'], at[place].te]).toEqual(['ok', undefined, undefined]);
    expect(NAMES.map((name) => Object.entries(at[place]).find(([key]) => key === name)?.[1])).toEqual(fields.map(([, value]) => value));
  });
});

describe('a status', () => {
  const statuses = [100, 101, 102, 103, 199, 200, 204, 205, 206, 299, 300, 304, 399, 404, 421, 499, 500, 599, 600, 700, 999];

  test.each(statuses)('%d of an application of HTTP/1.1 is passed on, or answered for', async (status) => {
    const app = await ScriptedApp.serving(() => {
      const head = `HTTP/1.1 ${status} Status\r\nX-It: yes\r\n`;
      if (status < 200) return `${head}\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`;
      return status === 204 || status === 304 ? `${head}\r\n` : `${head}Content-Length: 2\r\n\r\nok`;
    });
    const { port } = await startServedNode(app.port);
    const expected = status < 200 && status !== 101 ? 200 : status === 101 || status > 599 ? 502 : status;
    const { at, text } = await ask(port);
    expect(at.head[':status']).toBe(expected);
    if (expected === status) expect(text).toBe([204, 205, 304].includes(status) ? '' : 'ok');
    if (expected === 502) expect(at.head['proxy-status']).toBe('pullproxy; error=http_protocol_error');
  });

  test.each([...statuses.filter((status) => status !== 101), 99, 1_000])('%d of an application of HTTP/2 too', async (status) => {
    const app = await ScriptedApp.listen(async (connection) => {
      const application = await FramePeer.application(connection);
      await application.until(1);
      application.headers(1, block([[':status', String(status).padStart(3, '0')]]));
      if (status < 200 && status !== 99) application.headers(1, block([[':status', '200']]));
      application.data(1, [204, 304].includes(status) ? '' : 'ok', true);
    });
    const { port, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    expect((await ask(port)).at.head[':status']).toBe(status === 99 || status > 599 ? 502 : Math.max(status, 200));
    // The next one is served.
    expect((await askHttp2(connectHttp2(`http://127.0.0.1:${port}`), { ':authority': 'none.test' })).status).toBe(404);
  });

  test.each(['Content-Length: 5\r\n\r\nhello', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n', '\r\nhello'])(
    '205 has no body, whatever follows it (%j)',
    async (rest) => {
      const app = await ScriptedApp.listen(async (connection) => {
        await connection.request();
        connection.end(`HTTP/1.1 205 Reset Content\r\n${rest}`);
      });
      const { port } = await startServedNode(app.port);
      const { at, text } = await ask(port);
      expect([at.head[':status'], at.head['content-length'], text]).toEqual([205, undefined, '']);
    },
  );

  test('205 of an application of HTTP/2 has none either', async () => {
    const app = await ScriptedApp.listen(async (connection) => {
      const application = await FramePeer.application(connection);
      await application.until(1);
      application.headers(1, block([[':status', '205'], ['content-length', '5']])); // biome-ignore format: one answer
      application.data(1, 'hello', true);
    });
    const { port, node, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const { at, text } = await ask(port);
    expect([at.head[':status'], at.head['content-length'], text]).toEqual([205, undefined, '']);
    expect(node.held).toBe(0);
  });
});

/** Each makes the message malformed that it is in (RFC 9113 sections 8.2 and 8.3). */
const MALFORMED: readonly (readonly [what: string, name: string, value: string])[] = [
  ['a name with a capital', 'X-A', 'b'],
  ['a name with a space', 'x a', 'b'],
  ['a name with a colon', 'x:a', 'b'],
  ['no name', '', 'b'],
  ['a value with CR and LF', 'x-a', 'b\r\nx-b: c'],
  ['a value with NUL', 'x-a', 'b\0'],
  ['a value with a control byte', 'x-a', 'b\x01'],
  ['connection', 'connection', 'close'],
  ['transfer-encoding', 'transfer-encoding', 'chunked'],
  ['upgrade', 'upgrade', 'websocket'],
  ['te: gzip', 'te', 'gzip'],
  ['a field of requests', ':path', '/'],
  ['a second status', ':status', '200'],
];

describe.each(PLACES)('in the %s of an application of HTTP/2', (place) => {
  test.each(MALFORMED)('%s is refused, not dropped, and the next answer arrives', async (_what, name, value) => {
    const app = await ScriptedApp.listen(async (connection) => {
      const application = await FramePeer.application(connection);
      const asked = await application.until(1);
      const odd = app.connections.length === 1 ? block([['x-before', '1'], [name, value], ['x-behind', '2']]) : block([]); // biome-ignore format: one block
      if (place === 'interim answer') application.headers(asked.stream, Buffer.concat([block([[':status', '103']]), odd]));
      application.headers(asked.stream, place === 'head' ? Buffer.concat([block([[':status', '200']]), odd]) : block([[':status', '200']]));
      application.data(asked.stream, 'ok', place !== 'trailers');
      if (place === 'trailers') application.headers(asked.stream, odd, true);
    });
    const { port, node, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    const end = await client.endOf(1);
    // Its answer has begun: what came of it is no whole.
    if (place === 'trailers') expect([end === 'end', end === 0]).toEqual([false, false]);
    else expect(client.contentOf(1).toString()).toContain('502 Bad Gateway');
    client.headers(3, requestBlock(), true);
    expect([await client.endOf(3), client.contentOf(3).toString()]).toEqual(['end', 'ok']);
    await eventually('the slot is idle', () => node.active === 0);
    await client.judged();
  });
});

describe('a head of a response', () => {
  test.each([16_000, 32_000, 64_000, 65_000, 65_450])('of about %d bytes arrives whole', async (bytes) => {
    const app = await ScriptedApp.serving(() => `HTTP/1.1 200 OK\r\nX-Large: ${'x'.repeat(bytes)}\r\nContent-Length: 2\r\n\r\nok`);
    const { port } = await startServedNode(app.port);
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    expect(await client.endOf(1)).toBe('end');
    expect(client.contentOf(1).toString()).toBe('ok');
    await client.judged();
  });

  test('that is larger is refused, and the connection goes on', async () => {
    const app = await ScriptedApp.serving(() => `HTTP/1.1 200 OK\r\nX-Large: ${'x'.repeat(65_536)}\r\nContent-Length: 2\r\n\r\nok`);
    const { port } = await startServedNode(app.port);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    for (let i = 0; i < 3; i++) expect((await askHttp2(session, {})).status).toBe(502);
  });

  test('keeps repeated fields apart', async () => {
    const lines = ['Location: /a', 'Location: /b', 'WWW-Authenticate: Basic', 'WWW-Authenticate: Bearer', 'Set-Cookie: a', 'Set-Cookie: b'];
    const app = await ScriptedApp.serving(() => `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\nContent-Length: 2\r\n\r\nok`);
    const { port } = await startServedNode(app.port);
    const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':authority': 'app.test' });
    const [, , raw] = (await once(stream, 'response')) as [unknown, number, string[]];
    const said = raw.flatMap((text, i) => (i % 2 === 0 ? [`${text}: ${raw[i + 1]}`] : []));
    for (const line of lines) expect(said.map((text) => text.toLowerCase())).toContain(line.toLowerCase());
  });
});
