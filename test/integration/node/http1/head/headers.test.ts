import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../../support/harness/scripted-app.ts';
import { type HttpMessage, undated } from '../../../../support/http-message.ts';
import { connectClient } from '../../../../support/raw-client.ts';

afterEach(closeEverything);

/** What the application sees of a request with these header lines, and the client of an answer with those. */
async function pass(request: string, answer = '', start = 'GET / HTTP/1.1'): Promise<{ seen: HttpMessage; got: HttpMessage }> {
  const app = await ScriptedApp.listen();
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send(`${start}\r\nHost: App.test:8080\r\n${request}\r\n`);
  const connection = await app.next();
  const seen = await connection.request();
  connection.send(`HTTP/1.1 200 OK\r\n${answer}Content-Length: 0\r\n\r\n`);
  return { seen, got: await client.response() };
}

describe('the application is told', () => {
  test('who asks, how, and for what host', async () => {
    const { seen } = await pass('');
    expect(seen.headers.map(([name, value]) => `${name}: ${value}`)).toEqual([
      'Host: App.test:8080',
      'X-Forwarded-For: 127.0.0.1',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Host: App.test:8080',
      expect.stringMatching(/^X-Request-Id: [\w-]{21}$/),
      'Via: 1.1 pullproxy',
    ]);
  });

  test('nothing that the client says about that', async () => {
    const { seen } = await pass(
      'X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-FORWARDED-HOST: evil.test\r\n' +
        'X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=1.2.3.4\r\n',
    );
    expect(seen.values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(seen.values('x-forwarded-proto')).toEqual(['http']);
    expect(seen.values('x-forwarded-host')).toEqual(['App.test:8080']);
    expect(seen.head).not.toMatch(/evil|1\.2\.3\.4|5\.6\.7\.8|forwarded-port|^forwarded:/im);
  });

  test('which proxies were on the way', async () => {
    const { seen } = await pass('Via: 1.1 first\r\n');
    expect(seen.values('via')).toEqual(['1.1 first', '1.1 pullproxy']);
  });

  test('the request id and the trace that the client has begun', async () => {
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const { seen } = await pass(`x-request-id: my-own/id:7\r\nTraceparent: ${trace}\r\ntracestate: a=b\r\n`);
    expect(seen.values('x-request-id')).toEqual(['my-own/id:7']);
    expect(seen.values('traceparent')).toEqual([trace]);
    expect(seen.values('tracestate')).toEqual(['a=b']);
  });

  test('a trace of a later version', async () => {
    const trace = 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings';
    expect((await pass(`traceparent: ${trace}\r\n`)).seen.values('traceparent')).toEqual([trace]);
  });

  test.each([
    ['', 'no id'],
    ['with spaces inside', 'an id of several words'],
    ['x'.repeat(129), 'an id that is too long'],
    ['caf\xe9', 'an id beyond ASCII'],
  ])('an id of our own instead of %j', async (id) => {
    const { seen } = await pass(`X-Request-Id: ${id}\r\n`);
    expect(seen.values('x-request-id')).toEqual([expect.stringMatching(/^[\w-]{21}$/)]);
  });

  test('one request id of two', async () => {
    expect((await pass('X-Request-Id: a\r\nX-Request-Id: b\r\n')).seen.values('x-request-id')).toEqual(['a']);
  });

  test.each([
    'nonsense',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7',
    '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01',
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
    'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more',
  ])('no trace at all instead of %j', async (trace) => {
    const { seen } = await pass(`traceparent: ${trace}\r\ntracestate: a=b\r\n`);
    expect(seen.values('traceparent')).toEqual([]);
    expect(seen.values('tracestate')).toEqual([]);
  });

  test('another id each time', async () => {
    const [first, second] = [await pass(''), await pass('')];
    expect(first.seen.values('x-request-id')).not.toEqual(second.seen.values('x-request-id'));
  });
});

describe('hop-by-hop headers', () => {
  test('of the request end here', async () => {
    const { seen } = await pass('Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nTE: gzip\r\nUpgrade: x\r\n');
    expect(seen.head).not.toMatch(/^(connection|keep-alive|proxy-connection|te|upgrade):/im);
  });

  test('of the response end here', async () => {
    const { got } = await pass(
      '',
      'X-A: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-B: 2\r\n',
    );
    expect(undated(got.head)).toBe('HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n');
  });

  test('that Connection names end here, in both directions', async () => {
    const { seen, got } = await pass(
      'X-One: 1\r\nx-two: 2\r\nX-Three: 3\r\nConnection: X-ONE , close\r\nConnection:,,x-two,\r\n',
      'X-One: 1\r\nConnection: x-one, X-Three\r\nX-Three: 3\r\nX-Two: 2\r\n',
    );
    expect(seen.head).not.toMatch(/^x-(one|two):/im);
    expect(seen.values('x-three')).toEqual(['3']);
    expect(undated(got.head)).toBe('HTTP/1.1 200 OK\r\nX-Two: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });

  test('are not what makes a message: Connection can’t take that away', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    const TRACE = 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n';
    const named = 'Connection: host, content-length, transfer-encoding, x-request-id, traceparent, x-forwarded-for, via\r\n';
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\n${named}X-Request-Id: mine\r\n${TRACE}Content-Length: 5\r\n\r\nhello`);
    const connection = await app.next();
    const seen = await connection.request();
    expect(seen).toMatchObject({ text: 'hello' });
    for (const name of ['host', 'content-length', 'x-forwarded-for', 'traceparent', 'via']) expect(seen.values(name)).toHaveLength(1);
    expect(seen.values('x-request-id')).toEqual(['mine']);
    connection.send('HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello');
    expect((await client.response()).text).toBe('hello');
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\n${named}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    expect((await connection.request()).text).toBe('hello');
    connection.send('HTTP/1.1 200 OK\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    expect((await client.response()).text).toBe('hello');
  });

  test('TE: trailers goes on: the response’s trailers do, too', async () => {
    expect((await pass('TE: trailers\r\nConnection: te\r\n')).seen.values('te')).toEqual(['trailers']);
  });
});

test('everything else passes as it came, in its order', async () => {
  const lines =
    'Cookie: a=b; c="d"\r\nX-Empty:\r\nx-LOWER: 1\r\nAuthorization: Bearer x.y.z\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Bytes: \xff\xe9\r\n';
  const { seen, got } = await pass(lines, lines, 'DELETE /a/../b%2f?q=%00&r=[] HTTP/1.1');
  expect(seen.head).toContain(`DELETE /a/../b%2f?q=%00&r=[] HTTP/1.1\r\nHost: App.test:8080\r\n${lines}`);
  expect(undated(got.head)).toBe(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 0\r\n\r\n`);
});

test('a node that is told so adds no Via, and passes on those that came', async () => {
  const app = await ScriptedApp.serving(({ values }) => ok(values('via').join()));
  const { port } = await startServedNode(app.port, { via: 'off' });
  const client = await connectClient(port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  expect((await client.response()).text).toBe('');
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\nVia: 1.1 first\r\n\r\n');
  expect((await client.response()).text).toBe('1.1 first');
});
