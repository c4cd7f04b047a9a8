import { afterEach, describe, expect, test } from '@jest/globals';
import { ERRORS, type ErrorCode, PullproxyError } from '../../../../src/errors.ts';
import { errorResponse } from '../../../../src/node/http1/own-responses.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

test('each of them says what went wrong, for people and for programs', () => {
  const said = (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
    const text = errorResponse(new PullproxyError(code), 'GET', true, false).text.toString();
    return [code, /^HTTP\/1\.1 (\d+)/.exec(text)?.[1], /^Proxy-Status: (.*)\r$/m.exec(text)?.[1], /^Retry-After: (\d+)\r$/m.test(text)];
  });
  expect(said).toEqual(
    expect.arrayContaining([
      ['https_only', '308', 'pullproxy; error=proxy_internal_response; details=https_only', false],
      ['bad_request', '400', 'pullproxy; error=http_request_error', false],
      ['unknown_route', '404', 'pullproxy; error=destination_not_found', false],
      ['head_timeout', '408', 'pullproxy; error=http_request_error', false],
      ['head_too_large', '431', 'pullproxy; error=http_request_error', false],
      ['application_refused', '502', 'pullproxy; error=connection_refused', false],
      ['application_broke_off', '502', 'pullproxy; error=connection_terminated', false],
      ['application_bad_answer', '502', 'pullproxy; error=http_protocol_error', false],
      ['queue_full', '503', 'pullproxy; error=proxy_internal_response; details=queue_full', true],
      ['hold_timeout', '503', 'pullproxy; error=connection_timeout; details=hold_timeout', true],
      ['start_failed', '503', 'pullproxy; error=destination_unavailable; details=start_failed', true],
      ['waiting_page', '503', 'pullproxy; error=proxy_internal_response; details=waiting_page', true],
      ['draining', '503', 'pullproxy; error=proxy_internal_response; details=draining', true],
    ]),
  );
});

describe('a held client', () => {
  test('for whom nobody comes in time gets 503, and its connection goes on', async () => {
    const { port, node } = await startLoneNode({ routes: { 'app.test': { holdTimeout: '300ms' } } });
    const client = await connectClient(port);
    for (let i = 0; i < 2; i++) {
      client.send(GET);
      const answer = await client.response();
      expect(answer.status).toBe(503);
      expect(answer.values('proxy-status')).toEqual(['pullproxy; error=connection_timeout; details=hold_timeout']);
      expect(Number(answer.values('retry-after')[0])).toBeGreaterThan(0);
      expect(answer.values('connection')).toEqual([]);
      expect(answer.values('date')).toHaveLength(1);
    }
    expect(node.held).toBe(0);
  });

  test('whose body has not come whole is told that its connection ends', async () => {
    const { port } = await startLoneNode({ routes: { 'app.test': { holdTimeout: '300ms' } } });
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\n');
    client.send(Buffer.alloc(500_000));
    const answer = await client.response();
    expect(answer.status).toBe(503);
    expect(answer.values('connection')).toEqual(['close']);
    client.send(Buffer.alloc(500_000));
    expect(await client.ended()).toBe('fin');
  });

  test('beyond maxHeld gets 503 at once', async () => {
    const { port, node } = await startLoneNode({ routes: { 'app.test': { maxHeld: 2 } } });
    for (let i = 0; i < 2; i++) (await connectClient(port)).send(GET);
    await eventually('two are held', () => node.held === 2);
    const client = await connectClient(port);
    client.send(GET);
    const answer = await client.response();
    expect(answer.status).toBe(503);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=queue_full']);
    expect(answer.values('retry-after')).toEqual(['1']);
    expect(node.held).toBe(2);
  });

  test('beyond the node’s memory for them gets 503 at once', async () => {
    const { port, node } = await startLoneNode({ routes: { 'app.test': {} }, heldBytesMax: 10_000 });
    const padded = `GET / HTTP/1.1\r\nHost: app.test\r\nX-A: ${'x'.repeat(3_000)}\r\n\r\n`;
    (await connectClient(port)).send(padded);
    await eventually('one is held', () => node.held === 1);
    const client = await connectClient(port);
    client.send(padded);
    expect((await client.response()).status).toBe(503);
  });

  test('of HEAD gets no body, of HTTP/1.0 the connection that it asked for', async () => {
    const { port } = await startLoneNode();
    const client = await connectClient(port);
    client.send(`HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    const answer = await client.response('HEAD');
    expect(answer.status).toBe(404);
    expect(Number(answer.values('content-length')[0])).toBeGreaterThan(0);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n');
    expect((await client.response()).values('connection')).toEqual(['keep-alive']);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    expect((await client.response()).values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
  });
});

describe('while the node leaves', () => {
  test('a request that is being served, and one that comes on an idle connection, get their responses as the last ones', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await startServedNode(app.port, { concurrency: 1 });
    const [served, idle, silent] = [await connectClient(port), await connectClient(port), await connectClient(port)];
    served.send(GET);
    const connection = await app.next();
    await connection.request();
    const drained = node.drain(8_000);
    // Held until the only slot is free.
    idle.send(GET);
    await eventually('a held client', () => node.held === 1);
    connection.send(ok('first'));
    const first = await served.response();
    expect([first.text, first.values('connection')]).toEqual(['first', ['close']]);
    await connection.request();
    connection.send(ok('second'));
    const second = await idle.response();
    expect([second.text, second.values('connection')]).toEqual(['second', ['close']]);
    expect([await served.ended(), await idle.ended(), await silent.ended()]).toEqual(['fin', 'fin', 'fin']);
    expect(silent.receivedBytes).toBe(0);
    for (const client of [served, idle, silent]) client.end();
    await drained;
  });

  test('whoever is still held at the end is told to come again', async () => {
    const { port, node } = await startLoneNode({ routes: { 'app.test': {} } });
    const client = await connectClient(port);
    client.send(GET);
    await eventually('a held client', () => node.held === 1);
    await node.drain(100);
    const answer = await client.response();
    expect(answer.status).toBe(503);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=draining']);
  });
});
