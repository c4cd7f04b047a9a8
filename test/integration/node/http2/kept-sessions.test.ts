import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeAll, ROUTE, type SomeNode, startSomeLinker, startSomeNode } from '../../../support/harness/some-nodes.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';

const apps = new Set<H2cApp>();

afterEach(async () => {
  closeHttp2();
  await closeAll();
  for (const app of apps) app.close();
  apps.clear();
});

/** An application that speaks HTTP/2, and counts what it sees at once. */
class H2cApp {
  /** Connections on which a request came, those that are closed included. */
  readonly sessions = new Set<ServerHttp2Session>();
  connectionsMax = 0;
  requestsMax = 0;
  requests = 0;
  /** Set to do something else than to echo. */
  answer: ((stream: ServerHttp2Stream, body: Buffer) => void) | null = null;
  /** Set to be asked at each head; true: it was dealt with. */
  begin: ((stream: ServerHttp2Stream) => boolean) | null = null;
  readonly #server: Http2Server = createServer();
  readonly #open = new Set<ServerHttp2Session>();
  #atOnce = 0;

  static async listen(): Promise<H2cApp> {
    const app = new H2cApp();
    apps.add(app);
    app.#server.on('session', (session) => {
      app.#open.add(session);
      session.on('error', () => {});
      session.on('close', () => app.#open.delete(session));
      app.connectionsMax = Math.max(app.connectionsMax, app.#open.size);
    });
    app.#server.on('stream', (stream) => app.#serve(stream));
    await once(app.#server.listen(0, '127.0.0.1'), 'listening');
    return app;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const session of this.#open) session.destroy();
  }

  #serve(stream: ServerHttp2Stream): void {
    this.sessions.add(stream.session as ServerHttp2Session);
    this.requests++;
    this.requestsMax = Math.max(this.requestsMax, ++this.#atOnce);
    stream.on('error', () => {});
    stream.on('close', () => this.#atOnce--);
    if (this.begin?.(stream) === true) return;
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const body = Buffer.concat(chunks);
      if (this.answer !== null) this.answer(stream, body);
      else echo(stream, body);
    });
  }
}

function echo(stream: ServerHttp2Stream, body: Buffer): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': 200 }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(body);
}

const H2C = { routes: { [ROUTE]: { protocol: 'h2c' } } };

async function ask(node: SomeNode, method = 'POST', body: Buffer | string = 'hello') {
  const session = connectHttp2(`http://127.0.0.1:${node.port}`);
  try {
    return await askHttp2(session, { ':method': method, ':path': '/', ':authority': ROUTE }, method === 'GET' ? undefined : body);
  } finally {
    session.close();
  }
}

async function start(concurrency = 2) {
  const app = await H2cApp.listen();
  const node = await startSomeNode(H2C);
  await startSomeLinker(node, app, { concurrency });
  return { app, node };
}

test('one connection serves one exchange after the other, whoever asks', async () => {
  const { app, node } = await start();
  for (let i = 0; i < 20; i++) {
    const { status, text, trailers } = await ask(node, 'POST', `body ${i}`);
    expect([status, text, trailers['grpc-status']]).toEqual([200, `body ${i}`, '0']);
  }
  expect(app.sessions.size).toBe(1);
});

test('bodies larger than every window pass, one after the other', async () => {
  const { app, node } = await start();
  const body = Buffer.alloc(2_000_000, 'x');
  for (let i = 0; i < 3; i++) expect((await ask(node, 'POST', body)).text).toHaveLength(body.length);
  expect(app.sessions.size).toBe(1);
});

test('a crowd never has more requests or connections at the application than there are slots', async () => {
  const { app, node } = await start(3);
  app.answer = (stream, body) => void setImmediate(() => echo(stream, body));
  const session = connectHttp2(`http://127.0.0.1:${node.port}`);
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => askHttp2(session, { ':method': 'POST', ':path': '/', ':authority': ROUTE }, `${i}`)),
  );
  expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 60 }, (_, i) => `${i}`));
  expect(app.requestsMax).toBeLessThanOrEqual(3);
  expect(app.connectionsMax).toBeLessThanOrEqual(3);
  expect(app.sessions.size).toBeLessThanOrEqual(3);
});

test('nodes that take turns each get the place of the parked connection of the other', async () => {
  const app = await H2cApp.listen();
  const directory = new MemoryDirectory();
  const one = await startSomeNode({ ...H2C, directory, id: 'n1' });
  const two = await startSomeNode({ ...H2C, directory, id: 'n2' });
  await startSomeLinker(one, app, { concurrency: 1 });
  for (let i = 0; i < 6; i++) expect((await ask(i % 2 === 0 ? one : two, 'POST', `${i}`)).text).toBe(`${i}`);
  expect(app.requestsMax).toBe(1);
  expect(app.connectionsMax).toBe(1);
});

test('an application that closes between two exchanges costs no request', async () => {
  const { app, node } = await start();
  for (const close of [
    (session: ServerHttp2Session) => session.close(),
    (session: ServerHttp2Session) => session.goaway(),
    (session: ServerHttp2Session) => session.destroy(),
    (session: ServerHttp2Session) => session.socket?.destroy(),
  ]) {
    expect((await ask(node)).status).toBe(200);
    const [...all] = app.sessions;
    const last = all.at(-1) as ServerHttp2Session;
    close(last);
    // At the same moment: what is idempotent is said again.
    expect((await ask(node, 'GET')).status).toBe(200);
  }
});

test('what a connection does not get that closes at its reuse is said again on a new one', async () => {
  const { app, node } = await start(1);
  expect((await ask(node)).status).toBe(200);
  let broken = 0;
  app.begin = (stream) => {
    if (broken > 0) return false;
    broken++;
    stream.session?.destroy();
    return true;
  };
  // It may be said twice.
  expect((await ask(node, 'GET')).status).toBe(200);
  expect(broken).toBe(1);
  broken = 0;
  // It may not: the application may have done it.
  expect((await ask(node, 'POST')).status).toBe(502);
  expect((await ask(node, 'POST')).status).toBe(200);
});

test('a stream that the application refuses at a kept connection is said again, whatever it is', async () => {
  const { app, node } = await start(1);
  expect((await ask(node)).status).toBe(200);
  let refused = 0;
  app.begin = (stream) => {
    if (refused > 0) return false;
    refused++;
    stream.close(7);
    return true;
  };
  expect((await ask(node, 'POST', 'once')).text).toBe('once');
  expect(refused).toBe(1);
});

test('a stream that is refused while its body still comes is said again from its beginning', async () => {
  const { app, node } = await start(1);
  expect((await ask(node)).status).toBe(200);
  let refused = 0;
  app.begin = (stream) => {
    if (refused > 0) return false;
    refused++;
    stream.once('data', () => stream.close(7));
    return true;
  };
  const session = connectHttp2(`http://127.0.0.1:${node.port}`);
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': ROUTE });
  stream.setEncoding('latin1');
  let text = '';
  stream.on('data', (piece: string) => {
    text += piece;
  });
  stream.write('first ');
  await eventually('it is refused, and said again', () => app.requests === 3);
  stream.end('second');
  await once(stream, 'close');
  expect([stream.rstCode, text]).toEqual([0, 'first second']);
});

test('a request that its client gives up takes its connection with it, and the slot is free again', async () => {
  const { app, node } = await start(1);
  expect((await ask(node)).status).toBe(200);
  let reached: () => void = () => {};
  const atApplication = new Promise<void>((resolve) => {
    reached = resolve;
  });
  app.answer = () => reached();
  const session = connectHttp2(`http://127.0.0.1:${node.port}`);
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': ROUTE });
  stream.on('error', () => {});
  stream.end('x');
  await atApplication;
  stream.close(8);
  app.answer = null;
  expect((await ask(node)).status).toBe(200);
  expect(app.requestsMax).toBe(1);
  await eventually('the slot is idle', () => node.node.active === 0);
});
