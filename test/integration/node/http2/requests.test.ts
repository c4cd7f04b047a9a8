import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

let certificate: Certificate;

beforeAll(() => {
  certificate = makeCertificate('app.test');
});

afterAll(() => certificate.remove());

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

async function joined(app: ScriptedApp, options: LoneNodeOptions = {}) {
  const lone = await startServedNode(app.port, options);
  return { ...lone, session: connectHttp2(`http://127.0.0.1:${lone.port}`) };
}

describe('a request by HTTP/2', () => {
  test('reaches the application as HTTP/1.1, with what every request has', async () => {
    const app = await ScriptedApp.listen();
    const { session } = await joined(app);
    const answered = askHttp2(session, { ':path': '/a?b', cookie: ['a=1', 'b=2'], te: 'trailers', 'x-forwarded-for': '1.2.3.4' });
    const connection = await app.next();
    const { startLine, headers, values } = await connection.request();
    connection.send(ok('hello', 'X-Answer: yes\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n'));
    expect(startLine).toBe('GET /a?b HTTP/1.1');
    expect(headers.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith(':'))).toEqual([]);
    expect([values('host'), values('cookie'), values('te'), values('via')]).toEqual([
      ['app.test'],
      ['a=1; b=2'],
      ['trailers'],
      ['2.0 pullproxy'],
    ]);
    expect([values('x-forwarded-for'), values('x-forwarded-host')]).toEqual([['127.0.0.1'], ['app.test']]);
    const { status, headers: answer, text } = await answered;
    expect([status, text, answer['x-answer'], answer['set-cookie']]).toEqual([200, 'hello', 'yes', ['a=1', 'b=2']]);
    expect([answer.connection, answer['x-hop']]).toEqual([undefined, undefined]);
  });

  test('by ALPN says https to the application', async () => {
    const app = await ScriptedApp.serving(({ values }) => ok(values('x-forwarded-proto').join()));
    const { port } = await startServedNode(app.port, { listen: { protocol: 'https' }, certificates: new Certificates([certificate]) });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: certificate.cert, servername: 'app.test' });
    expect(await askHttp2(session, {})).toMatchObject({ status: 200, text: 'https' });
    expect(session.alpnProtocol).toBe('h2');
  });

  test('carries bodies both ways, of known and of unknown length', async () => {
    const app = await ScriptedApp.serving(({ body, values }) => ok(body, `X-Framing: ${values('transfer-encoding').join()}\r\n`));
    const { session } = await joined(app);
    const body = Buffer.alloc(1_000_000, 'abc');
    const unknown = await askHttp2(session, { ':method': 'POST' }, body);
    expect([unknown.text === body.toString(), unknown.headers['x-framing']]).toEqual([true, 'chunked']);
    const known = await askHttp2(session, { ':method': 'POST', 'content-length': body.length }, body);
    expect([known.text === body.toString(), known.headers['x-framing']]).toEqual([true, '']);
    expect(await askHttp2(session, { ':method': 'PUT', 'content-length': 0 })).toMatchObject({ status: 200, text: '' });
  });

  test('keeps trailers, in both directions', async () => {
    const app = await ScriptedApp.listen(async (connection) => {
      const { trailers } = await connection.request();
      const said = trailers.replace('\r\n', '');
      connection.send(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5;ext=1\r\nhello\r\n0\r\nX-Sum: 7\r\nX-Said: ${said}\r\n\r\n`,
      );
    });
    const { session } = await joined(app);
    const stream = session.request({ ':method': 'POST', ':authority': 'app.test' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-mine': 'abc' }));
    stream.end('body');
    const [trailers] = await Promise.all([once(stream, 'trailers'), once(stream.resume(), 'end')]);
    expect(trailers[0]).toMatchObject({ 'x-sum': '7', 'x-said': 'x-mine: abc' });
  });

  test.each([
    ['chunks that come in any pieces', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n'],
    ['an answer that ends with its connection', 'HTTP/1.1 200 OK\r\n\r\nhello'],
    ['an answer of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['an interim answer first', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
  ])('understands %s', async (_what, answer) => {
    const app = await ScriptedApp.listen(async (connection) => {
      await connection.request();
      for (const byte of answer) {
        connection.send(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
      connection.end();
    });
    const { session } = await joined(app);
    expect(await askHttp2(session, {})).toMatchObject({ status: 200, text: 'hello' });
  });

  test.each(['HEAD', 'GET'])('of %s may be answered without a body', async (method) => {
    const status = method === 'HEAD' ? '200 OK\r\nContent-Length: 5' : '204 No Content';
    const app = await ScriptedApp.serving(() => `HTTP/1.1 ${status}\r\n\r\n`);
    const { session } = await joined(app);
    for (let i = 0; i < 2; i++) expect((await askHttp2(session, { ':method': method })).text).toBe('');
    expect(app.connections).toHaveLength(1);
  });

  test('is one of many at once on its connection, each with a slot of its own', async () => {
    const app = await ScriptedApp.serving(({ startLine }) => ok(startLine.split(' ')[1]));
    const { session } = await joined(app);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => askHttp2(session, { ':path': `/${i}` })));
    expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 50 }, (_, i) => `/${i}`));
  });

  test('whose client breaks it off leaves the queue, and its slot when it has one', async () => {
    const { node, port, backendPort } = await startLoneNode({ routes: { 'app.test': {} } });
    expect(backendPort).toBeGreaterThan(0);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':authority': 'app.test' });
    stream.on('error', () => {});
    await eventually('a held client', () => node.held === 1);
    stream.close(8);
    await eventually('nobody held', () => node.held === 0);
    const app = await ScriptedApp.listen();
    const served = await joined(app);
    const other = served.session.request({ ':authority': 'x.test' });
    other.on('error', () => {});
    const connection = await app.next();
    other.close(8);
    await connection.ended();
    await eventually('the slot is idle', () => served.node.active === 0);
  });

  test('is told what is wrong as others are', async () => {
    const { port } = await startLoneNode({ routes: { 'none.test': { maxHeld: 0 } } });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const unknown = await askHttp2(session, {});
    expect([unknown.status, unknown.headers['proxy-status']]).toEqual([404, 'pullproxy; error=destination_not_found']);
    expect((await askHttp2(session, { ':authority': 'none.test' })).status).toBe(503);
    expect((await askHttp2(session, { host: 'other.test' })).status).toBe(400);
    await expect(askHttp2(session, { ':path': 'no-path' })).rejects.toThrow(/PROTOCOL_ERROR/);
    await expect(askHttp2(session, { ':authority': 'a@b' })).rejects.toThrow(/PROTOCOL_ERROR/);
    expect((await askHttp2(session, { 'x-large': 'x'.repeat(17_000) })).status).toBe(431);
  });

  test.each(['Content-Length: 100\r\n\r\nhello', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'])(
    'of an application that breaks off after %j is reset',
    async (answer) => {
      const app = await ScriptedApp.listen(async (connection) => {
        await connection.request();
        connection.send(`HTTP/1.1 200 OK\r\n${answer}`);
        connection.end();
      });
      const { session } = await joined(app);
      await expect(askHttp2(session, {})).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/);
    },
  );

  test.each([ok('no').toString(), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nX-Sum: 7\r\n\r\n'])(
    'that is answered early by %j is told that its body is not wanted',
    async (answer) => {
      const app = await ScriptedApp.listen(async (connection) => {
        await connection.takeThrough('\r\n\r\n');
        connection.send(answer);
      });
      const { session, linker } = await joined(app);
      const stream = session.request({ ':method': 'POST', ':authority': 'app.test' });
      let trailers: unknown;
      stream.on('trailers', (given) => {
        trailers = given['x-sum'];
      });
      stream.write('some');
      stream.resume();
      await once(stream, 'close');
      expect([stream.readableEnded, stream.rstCode, trailers]).toEqual([true, 0, answer.includes('X-Sum') ? '7' : undefined]);
      expect((await linker.ends(1)).closed).toBe(1);
    },
  );

  test('stops the application of a client that does not read, and no other', async () => {
    const app = await ScriptedApp.listen();
    const { session } = await joined(app);
    const slow = session.request({ ':authority': 'app.test' });
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n');
    connection.send(Buffer.alloc(20_000_000));
    await once(slow, 'response');
    const other = askHttp2(session, {});
    (await app.next()).send(ok('hello'));
    expect((await other).text).toBe('hello');
    expect(connection.socket.writableLength).toBeGreaterThan(1_000_000);
    let bytes = 0;
    slow.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await once(slow, 'end');
    expect(bytes).toBe(20_000_000);
  });
});

describe('an http port', () => {
  test('tells HTTP/2 from HTTP/1.1 by its first bytes, however they are cut', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await joined(app);
    const pieces = await connectClient(port);
    for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') {
      pieces.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    pieces.send(Buffer.from('000000040000000000', 'hex'));
    expect((await pieces.take(9))[3]).toBe(4);
    const other = await connectClient(port);
    other.send('PRIVATE / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await other.response()).startLine).toBe('HTTP/1.1 200 OK');
    const later = await connectClient(port);
    later.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect((await later.response()).status).toBe(200);
    expect((await later.response()).status).toBe(400);
  });
});

describe('a node that leaves', () => {
  test('lets the streams of a connection end, and takes no more', async () => {
    const app = await ScriptedApp.listen();
    const { session, node } = await joined(app);
    const answered = askHttp2(session, {});
    const connection = await app.next();
    const gone = once(session, 'goaway');
    const drained = node.drain(5_000);
    await gone;
    connection.send(ok('hello'));
    expect((await answered).text).toBe('hello');
    await drained;
  });
});
