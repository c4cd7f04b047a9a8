/** What an application says about its limit reaches its linker through any protocol, and no client. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { connect as connectH2, createServer as createH2c, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcp } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Linker } from '../../../src/linker/linker.ts';
import { createLog } from '../../../src/log.ts';
import { eventually } from '../../support/eventually.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../support/harness/lone-node.ts';

const ROUTE = 'app.example.com';
const servers: { close(): void; closeAllConnections?(): void }[] = [];
const linkers: { readonly linker: Linker; readonly over: Promise<number> }[] = [];

afterEach(async () => {
  for (const { linker } of linkers) {
    linker.drain();
    linker.drain();
  }
  await Promise.all(linkers.splice(0).map(({ over }) => over));
  await closeEverything();
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function listening(server: Server | Http2Server | ReturnType<typeof createTcp>): Promise<number> {
  servers.push(server as Server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

async function link(node: LoneNode, appPort: number, concurrency = 4): Promise<Linker> {
  const linker = new Linker({
    proxies: [{ host: '127.0.0.1', port: node.backendPort }],
    route: ROUTE,
    concurrency,
    secret: 's',
    app: { host: '127.0.0.1', port: appPort },
    env: {},
    log: createLog('test', 'silent'),
  });
  linkers.push({ linker, over: linker.run() });
  await linker.ready;
  return linker;
}

function slotsOf({ node }: LoneNode): number {
  let slots = 0;
  for (const { link } of node.routes.get(ROUTE)?.slots.lenders ?? []) slots += link.idle + link.active;
  return slots;
}

interface Seen {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: string;
}

function ask(port: number): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', headers: { host: ROUTE, te: 'trailers' }, agent: false }, (response) => {
      let body = '';
      response.on('data', (part) => {
        body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, trailers: response.trailers, body }));
    });
    asked.on('error', reject).end();
  });
}

function askH2(port: number): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const session = connectH2(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({ ':path': '/', ':authority': ROUTE, te: 'trailers' });
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    let body = '';
    stream.on('response', (head) => {
      headers = head;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (part) => {
      body += part;
    });
    stream.on('end', () => {
      session.close();
      resolve({ status: Number((headers as Record<string, unknown>)[':status']), headers, trailers, body });
    });
    stream.end();
  });
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const IN_HEAD: Handler = (_request, response) => response.setHeader('Pullproxy-Concurrency', '2').end('ok');
const IN_TRAILERS: Handler = (_request, response) => {
  response.setHeader('Trailer', 'X-Sum');
  response.write('ok');
  response.addTrailers({ 'Pullproxy-Concurrency': '2', 'X-Sum': '7' });
  response.end();
};
const IN_INTERIM: Handler = (_request, response) => {
  response.writeEarlyHints({ link: '</a.css>; rel=preload', 'pullproxy-concurrency': '2' });
  setTimeout(() => response.end('ok'), 20);
};

describe.each([
  ['HTTP/1.1', ask],
  ['HTTP/2', askH2],
] as const)('to a client of %s', (_name, asks) => {
  test.each([
    ['the head', IN_HEAD],
    ['the trailers', IN_TRAILERS],
    ['an interim head', IN_INTERIM],
  ])('an application of HTTP/1.1 says it in %s', async (_where, handler) => {
    const node = await startLoneNode();
    const linker = await link(node, await listening(createServer(handler)));
    const { status, headers, trailers, body } = await asks(node.port);
    expect([status, body]).toEqual([200, 'ok']);
    expect(Object.keys({ ...headers, ...trailers })).not.toContain('pullproxy-concurrency');
    await eventually('it is in force', () => linker.limit.value === 2);
    expect(linker.limit.setBy).toBe('header');
    if (handler === IN_TRAILERS) expect(trailers['x-sum']).toBe('7');
    await eventually('slots follow', () => slotsOf(node) === 2);
  });
});

describe('an application of HTTP/2', () => {
  test.each([
    ['the head', { head: '2', trailers: undefined }],
    ['the trailers', { head: undefined, trailers: '2' }],
  ])('says it in %s, on kept sessions, too', async (_where, said) => {
    const node = await startLoneNode({ routes: { [ROUTE]: { protocol: 'h2c' } } });
    let word = '9';
    const server = createH2c();
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200, ...(said.head === undefined ? {} : { 'pullproxy-concurrency': word }) }, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': '0', ...(said.trailers === undefined ? {} : { 'pullproxy-concurrency': word }) }),
      );
      stream.end('ok');
    });
    const linker = await link(node, await listening(server));
    for (word of ['9', '3', '5']) {
      const { headers, trailers, body } = await askH2(node.port);
      expect(body).toBe('ok');
      expect(Object.keys({ ...headers, ...trailers })).not.toContain('pullproxy-concurrency');
      expect(trailers['grpc-status']).toBe('0');
      await eventually('it is in force', () => linker.limit.value === Number(word));
    }
    expect(linker.limit.report.changes).toEqual({ header: 3 });
  });
});

describe('a request that was on its way when the limit was lowered', () => {
  test('is served by another instance', async () => {
    const node = await startLoneNode();
    let busy = 0;
    const slow = createServer((_request, response) => {
      busy++;
      setTimeout(() => response.end('slow'), 300);
    });
    const first = await link(node, await listening(slow), 2);
    await eventually('its slots are there', () => slotsOf(node) === 2);
    const one = ask(node.port);
    await eventually('it is busy', () => busy === 1);
    // Its link brings nothing to the node for a moment: the node opens a stream on a slot that is called back.
    const two = ask(node.port);
    first.limit.set(1, 'control');
    const second = await link(node, await listening(createServer((_request, response) => response.end('quick'))), 1);
    expect((await one).body).toBe('slow');
    expect(['quick', 'slow']).toContain((await two).body);
    expect(second.limit.value).toBe(1);
  });

  test('over TCP goes to another instance, too', async () => {
    const node = await startLoneNode({ listen: { protocol: 'tcp', route: ROUTE } });
    const echo = createTcp((socket) => socket.on('error', () => {}).pipe(socket));
    const first = await link(node, await listening(echo), 1);
    await eventually('its slot is there', () => slotsOf(node) === 1);
    first.limit.set(0, 'control');
    const client = connect(node.port, '127.0.0.1').on('error', () => {});
    let text = '';
    client.on('data', (part) => {
      text += part;
    });
    client.write('hello');
    await link(node, await listening(createTcp((socket) => socket.on('error', () => {}).end('from the second'))), 1);
    await eventually('it is served', () => text === 'from the second');
    client.destroy();
  });
});
