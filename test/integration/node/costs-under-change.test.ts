/** Requests that take several slots, over other protocols, and while limits, linkers and links change under them. */
import { once } from 'node:events';
import { createServer as createH2c, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { FEATURES } from '../../../src/link/frames.ts';
import { eventually } from '../../support/eventually.ts';
import { closeEverything, startLoneNode } from '../../support/harness/lone-node.ts';
import {
  closeAll,
  dialRawLinker,
  ROUTE,
  type SomeLinker,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../support/harness/some-nodes.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';

const COSTS = { cost: 'header:X-Cost', trustClients: 'true' };
const servers: { close(): void }[] = [];

afterEach(async () => {
  closeHttp2();
  await closeAll();
  await closeEverything();
  for (const server of servers.splice(0).reverse()) server.close();
});

async function listening(server: { listen(port: number, host: string): unknown; close(): void; address(): unknown }): Promise<number> {
  servers.push(server);
  await once(server.listen(0, '127.0.0.1') as Server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** It speaks HTTP/2 without TLS, answers a path that begins with /wait when it is told to, and counts what its requests cost. */
class H2cApp {
  readonly name: string;
  port = 0;
  costs = 0;
  costsMax = 0;
  readonly seen: string[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  static async listen(name = 'one'): Promise<H2cApp> {
    const app = new H2cApp(name);
    const server = createH2c();
    server.on('session', (session) => {
      session.on('error', () => {});
      servers.push({ close: () => session.destroy() });
    });
    server.on('stream', (stream, headers) => app.#serve(stream, String(headers[':path']), Number(headers['x-cost'] ?? 1)));
    app.port = await listening(server);
    return app;
  }

  #serve(stream: ServerHttp2Stream, path: string, cost: number): void {
    this.seen.push(path);
    this.costs += cost;
    this.costsMax = Math.max(this.costsMax, this.costs);
    stream.on('error', () => {});
    stream.once('close', () => {
      this.costs -= cost;
    });
    const answer = (): void => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end(`${this.name} ${path}`);
    };
    if (path.startsWith('/wait')) this.#waiting.push(answer);
    else stream.resume().once('end', answer);
  }

  answer(): void {
    this.#waiting.shift()?.();
  }
}

/** Each on a connection of its own, so that nothing orders them but the node. */
function get({ url }: SomeNode, path: string, cost = 1, body?: string): Promise<{ status: number; text: string }> {
  const head = { ':authority': ROUTE, ':path': path, ':method': body === undefined ? 'GET' : 'POST', 'x-cost': String(cost) };
  return askHttp2(connectHttp2(url), head, body);
}

const h2cNode = (): Promise<SomeNode> => startSomeNode({ routes: { [ROUTE]: { ...COSTS, protocol: 'h2c' } } });

const gatherings = ({ node }: SomeNode): number => node.routes.get(ROUTE)?.gatherings.size ?? 0;

/** One request runs, and another one takes all slots of that instance. */
async function gathering(
  node: SomeNode,
  app: H2cApp,
  cost: number,
): Promise<{ light: Promise<{ text: string }>; heavy: Promise<{ text: string }> }> {
  const light = get(node, '/wait');
  await eventually('it is there', () => app.seen.length === 1);
  const heavy = get(node, '/heavy', cost);
  await eventually('an instance is reserved', () => gatherings(node) === 1);
  return { light, heavy };
}

describe('an application of HTTP/2', () => {
  test('gets no more than its limit, on sessions that are kept, too, and with bodies', async () => {
    const node = await h2cNode();
    const app = await H2cApp.listen();
    await startSomeLinker(node, app, { concurrency: 4 });
    const asks = Array.from({ length: 60 }, (_, i) => get(node, `/${i}`, 1 + ((i * 7) % 4), i % 2 === 0 ? undefined : 'a body'));
    expect((await Promise.all(asks)).map(({ status }) => status)).toEqual(Array(60).fill(200));
    expect(app.costsMax).toBe(4);
  });

  test('gives a heavy one its turn when its running requests have ended, whatever comes behind it', async () => {
    const node = await h2cNode();
    const app = await H2cApp.listen();
    await startSomeLinker(node, app, { concurrency: 3 });
    const { light, heavy } = await gathering(node, app, 3);
    const later = [1, 2].map((i) => get(node, `/later-${i}`));
    await eventually('they are held', () => node.node.held === 3);
    app.answer();
    await Promise.all([light, heavy, ...later]);
    expect(app.seen[1]).toBe('/heavy');
  });

  test.each<[string, boolean, number, number, string | undefined]>([
    ['on a new session', false, 1, 0, undefined],
    ['on a kept session', true, 1, 0, undefined],
    ['that takes several slots', true, 2, 0, undefined],
    ['that takes more than the lowered limit', true, 2, 1, undefined],
    ['with a body that takes more than the lowered limit', true, 2, 1, 'a body'],
    ['with a body', true, 1, 0, 'a body'],
    ['with a body on a new session', false, 2, 0, 'a body'],
  ])(
    'is not given a request %s that was on its way when the limit was lowered: another instance is',
    async (_name, isKept, cost, limit, body) => {
      const node = await h2cNode();
      const [first, second] = [await H2cApp.listen('first'), await H2cApp.listen('second')];
      const one = await startSomeLinker(node, first, { concurrency: 2 });
      if (isKept) await get(node, '/before');
      const asked = get(node, '/asked', cost, body);
      while (node.node.active === 0) await new Promise(setImmediate);
      // The stream is open at the node, and its linker has yet to read that.
      const began = performance.now();
      one.linker.limit.set(limit, 'control');
      await startSomeLinker(node, second, { concurrency: 2 });
      expect((await asked).text).toBe('second /asked');
      // Without the linker's word the node would wait for the application's first words, for 10 s.
      expect(performance.now() - began).toBeLessThan(5_000);
      expect(first.seen).toEqual(isKept ? ['/before'] : []);
      await eventually('nothing waits at the linker', () => one.linker.control.picture.active === 0);
    },
  );
});

describe('while slots are brought together', () => {
  test('their instance drains: another one serves the request', async () => {
    const node = await h2cNode();
    const [first, second] = [await H2cApp.listen('first'), await H2cApp.listen('second')];
    const one = await startSomeLinker(node, first, { concurrency: 2 });
    const { light, heavy } = await gathering(node, first, 2);
    one.linker.drain();
    await startSomeLinker(node, second, { concurrency: 2 });
    expect((await heavy).text).toBe('second /heavy');
    first.answer();
    expect((await light).text).toBe('first /wait');
    expect(await one.exit).toBe(0);
  });

  test('their linker dies: another one serves the request', async () => {
    const node = await h2cNode();
    const raw = await dialRawLinker(node.backendPort, { concurrency: 4 });
    raw.link.report({ home: true, state: 'ready', active: 0 });
    raw.link.grant(2);
    await eventually('its slots are there', () => node.node.routes.get(ROUTE)?.slots.lenders[0]?.link.idle === 2);
    const heavy = get(node, '/heavy', 4);
    await eventually('an instance is reserved', () => gatherings(node) === 1);
    const app = await H2cApp.listen();
    raw.link.link.close('it dies');
    await startSomeLinker(node, app, { concurrency: 4 });
    expect((await heavy).text).toBe('one /heavy');
    expect(gatherings(node)).toBe(0);
  });

  test('their limit falls below the cost: an instance with a higher one serves the request', async () => {
    const node = await h2cNode();
    const [first, second] = [await H2cApp.listen('first'), await H2cApp.listen('second')];
    const one = await startSomeLinker(node, first, { concurrency: 4 });
    const { light, heavy } = await gathering(node, first, 4);
    one.linker.limit.set(2, 'control');
    await startSomeLinker(node, second, { concurrency: 4 });
    expect((await heavy).text).toBe('second /heavy');
    first.answer();
    await light;
  });

  test('their limit falls to 0 and the application dies at it: whoever comes next serves the request', async () => {
    const node = await h2cNode();
    const app = await H2cApp.listen();
    const one = await startSomeLinker(node, app, { concurrency: 2 });
    const { light, heavy } = await gathering(node, app, 2);
    one.linker.limit.set(0, 'control');
    app.answer();
    await light;
    expect(node.node.held).toBe(1);
    one.linker.drain();
    await one.exit;
    const next: SomeLinker = await startSomeLinker(node, app, { concurrency: 2 });
    expect((await heavy).text).toBe('one /heavy');
    expect(next.linker.limit.value).toBe(2);
  });
});

describe('a linker that knows no costs', () => {
  /** Both ends of the links that come up meanwhile are without it. */
  async function withoutCosts<T>(run: () => Promise<T>): Promise<T> {
    const features = FEATURES as string[];
    const all = features.splice(0);
    features.push(...all.filter((feature) => feature !== 'cost'));
    try {
      return await run();
    } finally {
      features.splice(0, features.length, ...all);
    }
  }

  test('serves heavy requests: its node keeps their slots', async () => {
    const node = await h2cNode();
    const app = await H2cApp.listen();
    await withoutCosts(() => startSomeLinker(node, app, { concurrency: 3 }));
    const asks = Array.from({ length: 24 }, (_, i) => get(node, `/${i}`, 1 + (i % 3)));
    expect((await Promise.all(asks)).map(({ status }) => status)).toEqual(Array(24).fill(200));
    expect(app.costsMax).toBe(3);
    expect((await get(node, '/more', 4)).status).toBe(413);
  });
});

test('a TCP connection takes one slot, whatever the rules of its route say', async () => {
  const route = { costBy: ['* *=2'], protocol: 'tcp' };
  const lone = await startLoneNode({ listen: { protocol: 'tcp', route: ROUTE }, routes: { [ROUTE]: route } });
  let greeted = 0;
  const app = createTcp((socket) => socket.on('error', () => {}).once('data', () => greeted++));
  await startSomeLinker(lone, { port: await listening(app) }, { concurrency: 3 });
  const clients = [1, 2, 3].map(() => connect(lone.port, '127.0.0.1').on('error', () => {}));
  for (const client of clients) client.write('hello');
  await eventually('all of them are there', () => greeted === 3);
  for (const client of clients) client.destroy();
});
