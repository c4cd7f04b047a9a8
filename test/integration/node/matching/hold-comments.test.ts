import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const node = (settings: Readonly<Record<string, unknown>> = {}) =>
  startLoneNode({ routes: { 'app.test': { holdTimeout: '60s', holdComments: '100ms', ...settings } } });
const ASK = 'GET / HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n';
const events = (body: string, type = 'text/event-stream; charset=utf-8'): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

async function serve(backendPort: number, response: string): Promise<string[]> {
  const heads: string[] = [];
  const app = await ScriptedApp.serving((request) => {
    heads.push(request.head);
    return response;
  });
  await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
  return heads;
}

describe('a client that wants events hears comments while it is held', () => {
  test.each([
    ['with a length', events('data: 1\n\n')],
    ['in chunks', chunked('data: 1\n\n')],
    ['until the end of the connection', 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n'],
  ])('and then the events of the application: %s', async (_how, response) => {
    const { port, backendPort, node: own } = await node();
    const client = await connectClient(port);
    client.send(ASK);
    await eventually('it has heard some', () => client.unread.toString().split(': waiting').length > 3);
    expect(own.held).toBe(1);
    if (response.includes('data: 1') && !response.includes('Length') && !response.includes('chunked')) {
      const app = await ScriptedApp.listen(async (connection) => {
        await connection.request();
        connection.end(response);
      });
      await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    } else {
      const heads = await serve(backendPort, response);
      await eventually('it was asked', () => heads.length === 1);
      expect(heads[0]).toMatch(/accept-encoding: identity\r\n/i);
      expect(heads[0]).not.toContain('gzip');
    }
    const answer = await client.response();
    expect([answer.status, answer.values('content-type'), answer.values('cache-control')]).toEqual([
      200,
      ['text/event-stream'],
      ['no-store'],
    ]);
    expect(answer.body.toString()).toMatch(/^(: waiting(, number \d+ in line)?\n\n)+data: 1\n\n$/);
    expect(await client.ended()).toBe('fin');
    await eventually('nothing is left', () => own.held + own.active === 0);
  });

  test('by HTTP/2', async () => {
    const { port, backendPort } = await node();
    const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':authority': 'app.test', accept: 'text/event-stream' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect([headers[':status'], headers['content-type']]).toEqual([200, 'text/event-stream']);
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await eventually('it has heard two', () => text.split(': waiting').length > 2);
    await serve(backendPort, chunked('data: 1\n\n'));
    await once(stream, 'end');
    expect(text).toMatch(/(: waiting[^\n]*\n\n)+data: 1\n\n$/);
  });

  test('and an event says that nobody came in time', async () => {
    const { port } = await node({ holdTimeout: '500ms' });
    const client = await connectClient(port);
    client.send(ASK);
    const answer = await client.response();
    expect(answer.status).toBe(200);
    const [, error = ''] = /\n\n(retry: [\s\S]*)$/.exec(answer.body.toString()) ?? [];
    expect(error).toBe(
      'retry: 5000\nevent: error\ndata: {"status":503,"details":"hold_timeout","message":"503 Service Unavailable: no slot was free in time"}\n\n',
    );
    expect(await client.ended()).toBe('fin');
  });

  test.each([
    ['another status', 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops', 500],
    ['no content', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
    ['another type', events('<html>', 'text/html'), 200],
    ['a coding', `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx`, 200],
  ])('and an event says that the application answered with %s', async (_what, response, status) => {
    const { port, backendPort, node: own } = await node();
    const client = await connectClient(port);
    client.send(ASK);
    await eventually('it has heard some', () => client.unread.includes(': waiting'));
    await serve(backendPort, response);
    const answer = await client.response();
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toMatch(
      new RegExp(`event: error\\ndata: {"status":${status},"details":null,"message":"[^"]*no event stream"}\\n\\n$`),
    );
    expect(answer.body.toString()).not.toMatch(/oops|html>/);
    await eventually('nothing is left', () => own.held + own.active === 0);
  });
});

describe('the response is the application’s alone', () => {
  test.each([
    ['where the route does not say so', ASK, { holdComments: '20m' }],
    ['by HTTP/1.0', ASK.replace('HTTP/1.1', 'HTTP/1.0'), {}],
    ['for a client that wants something else', ASK.replace('text/event-stream', '*/*'), {}],
    ['for one that would rather have none', ASK.replace('text/event-stream', 'text/event-stream;q=0'), {}],
    ['while the request is not complete', `${ASK.replace('GET', 'POST').slice(0, -2)}Content-Length: 5\r\n\r\nabc`, {}],
  ])('%s', async (_where, request, settings) => {
    const { port, node: own } = await node(settings);
    const client = await connectClient(port);
    client.send(request);
    await eventually('it is held', () => own.held === 1);
    const since = performance.now();
    await eventually('three times the interval', () => performance.now() - since > 350);
    expect(client.unread.toString()).not.toContain(' 200 ');
  });

  test('where a slot is idle', async () => {
    const { port, backendPort } = await node();
    await serve(backendPort, ok('at once').toString());
    const client = await connectClient(port);
    client.send(ASK);
    expect((await client.response()).body.toString()).toBe('at once');
  });
});
