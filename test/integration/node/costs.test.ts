/** Requests that take several slots of one instance: a real node, and applications that pull. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Instance, pull } from '../../../src/pull/pull.ts';
import { type ApplicationResponse, ask, crowd, statuses } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const HOST = 'app.test';
const nodes: Running[] = [];
const apps: App[] = [];
let redis: RedisServer | null = null;

afterEach(async () => {
  closeClients();
  for (const app of apps) app.open();
  await Promise.all(apps.splice(0).map(({ instance }) => instance.leave()));
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await redis?.stop();
  redis = null;
});

interface Node {
  readonly url: string;
  readonly admin: string;
  readonly backend: string;
}

async function start(...more: string[]): Promise<Node> {
  const running = await startProcess([
    'node',
    '--listen',
    'http://127.0.0.1:0',
    '--backend',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    ...more,
  ]);
  nodes.push(running);
  const { listen, admin, backend } = running.ready as { listen: string[]; admin: string; backend: string };
  return { url: listen[0] as string, admin, backend };
}

async function set(admin: string, settings: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`http://${admin}/api/v1/routes/${HOST}`, { method: 'PUT', body: JSON.stringify(settings), headers });
  expect(response.status).toBe(200);
}

/** An application that answers when it is told to, and counts what its requests cost. */
class App {
  instance!: Instance;
  costs = 0;
  costsMax = 0;
  readonly seen: string[] = [];
  readonly #held: (() => void)[] = [];
  #isOpen = false;

  static async start(backend: string, concurrency: number): Promise<App> {
    const app = new App();
    app.instance = await pull((request: IncomingMessage, response: ServerResponse) => app.#serve(request, response), {
      proxy: backend,
      route: HOST,
      concurrency,
    });
    apps.push(app);
    return app;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const cost = Number(request.headers['x-is'] ?? request.headers['x-cost'] ?? 1);
    this.seen.push(request.url ?? '');
    this.costs += cost;
    this.costsMax = Math.max(this.costsMax, this.costs);
    const answer = (): void => {
      this.costs -= cost;
      response.end(request.url);
    };
    if (this.#isOpen) setImmediate(answer);
    else this.#held.push(answer);
  }

  /** Answers the oldest request. */
  answer(): void {
    this.#held.shift()?.();
  }

  /** Answers everything, from now on at once. */
  open(): void {
    this.#isOpen = true;
    for (const answer of this.#held.splice(0)) answer();
  }
}

const get = (url: string, path: string, cost?: number): Promise<ApplicationResponse> =>
  ask(url, { host: HOST, path, headers: cost === undefined ? {} : { 'x-cost': String(cost) } });

const COSTS = { cost: 'header:X-Cost', trustClients: true };

describe('at one node', () => {
  test('no more is in the application than its limit, whatever requests cost', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const app = await App.start(backend, 4);
    app.open();
    const answers = await crowd(
      120,
      () => url,
      (i) => ({ host: HOST, path: `/${i}`, headers: { 'x-cost': String(1 + ((i * 7) % 4)) } }),
    );
    expect(statuses(answers)).toEqual({ 200: 120 });
    expect(app.costsMax).toBe(4);
  });

  test('a heavy one is not overtaken at its instance, and the others go on after it', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const app = await App.start(backend, 3);
    const light = get(url, '/first');
    await eventually('it is there', () => app.seen.length === 1);
    const heavy = get(url, '/heavy', 3);
    await eventually('it is held', async () => (await heldAt(admin)) === 1);
    const others = [1, 2, 3].map((i) => get(url, `/${i}`));
    await eventually('they are held', async () => (await heldAt(admin)) === 4);
    expect(app.seen).toEqual(['/first']);
    app.answer();
    await light;
    await eventually('the heavy one is there', () => app.seen.length === 2);
    expect(app.seen[1]).toBe('/heavy');
    expect(app.costs).toBe(3);
    app.open();
    await Promise.all([heavy, ...others]);
    expect(app.costsMax).toBe(3);
  });

  test('one that waits for its instance does not keep others from the rest', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const [small, large] = [await App.start(backend, 1), await App.start(backend, 3)];
    const first = [get(url, '/a'), get(url, '/b')];
    await eventually('they are there', () => small.seen.length + large.seen.length === 2);
    const heavy = get(url, '/heavy', 3);
    await eventually('it is held', async () => (await heldAt(admin)) === 1);
    small.open();
    const others = await Promise.all([1, 2, 3, 4].map((i) => get(url, `/${i}`)));
    expect(statuses(others)).toEqual({ 200: 4 });
    expect(small.seen.filter((path) => /^\/\d$/.test(path))).toHaveLength(4);
    large.open();
    await Promise.all([heavy, ...first]);
    expect(large.costsMax).toBe(3);
  });

  test('what waits is free for others when its client is gone', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const app = await App.start(backend, 2);
    const light = get(url, '/first');
    await eventually('it is there', () => app.seen.length === 1);
    const heavy = await connectClient(Number(new URL(url).port));
    heavy.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nX-Cost: 2\r\n\r\n`);
    await heavyHeld(admin);
    const other = get(url, '/other');
    await eventually('both are held', async () => (await heldAt(admin)) === 2);
    heavy.socket.destroy();
    await eventually('the other one is there', () => app.seen.length === 2);
    app.open();
    await Promise.all([light, other]);
  });

  test('more than any instance can have is refused in clear words', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const app = await App.start(backend, 4);
    app.open();
    const refused = await get(url, '/', 5);
    expect(refused.status).toBe(413);
    expect(refused.headers['proxy-status']).toBe('pullproxy; error=http_request_denied; details=too_costly');
    expect(refused.headers['retry-after']).toBeUndefined();
    expect((await get(url, '/', 99_999_999)).status).toBe(413);
    expect((await get(url, '/', 4)).status).toBe(200);
    expect(app.costsMax).toBe(4);
  });

  test('waits for a limit that is too low now, and lets others pass meanwhile', async () => {
    const { url, admin, backend } = await start();
    await set(admin, COSTS);
    const app = await App.start(backend, 4);
    app.open();
    app.instance.concurrency = 2;
    const heavy = get(url, '/heavy', 4);
    await heavyHeld(admin);
    expect(statuses(await Promise.all([1, 2, 3].map((i) => get(url, `/${i}`))))).toEqual({ 200: 3 });
    app.instance.concurrency = 4;
    expect((await heavy).status).toBe(200);
    expect(app.costsMax).toBe(4);
  });

  test("a route's own rules say it for those who do not, and nobody believes a stranger", async () => {
    const { url, admin, backend } = await start();
    await set(admin, { cost: 'header:X-Cost', costBy: ['GET /export*=3', '* /big=2'] });
    const app = await App.start(backend, 3);
    const asks = [get(url, '/export/all', 1), get(url, '/big'), get(url, '/small', 3)];
    await eventually('one is there', () => app.seen.length > 0);
    await eventually('the others are held', async () => (await heldAt(admin)) + app.seen.length === 3);
    expect(app.seen).toHaveLength(app.seen[0] === '/export/all' ? 1 : 2);
    app.open();
    expect(statuses(await Promise.all(asks))).toEqual({ 200: 3 });
  });
});

describe('over several nodes', () => {
  test('the slots of one request come together at the node that holds its client', async () => {
    redis = await startRedis();
    const [a, b] = [await start('--redis', redis.url), await start('--redis', redis.url)];
    await set(a.admin, COSTS);
    const app = await App.start(a.backend, 4);
    const lights = [get(a.url, '/1'), get(a.url, '/2')];
    await eventually('they are there', () => app.seen.length === 2);
    const heavy = get(b.url, '/heavy', 4);
    await heavyHeld(b.admin);
    app.answer();
    app.answer();
    await Promise.all(lights);
    await eventually('the heavy one is there', () => app.seen.length === 3);
    expect(app.costs).toBe(4);
    app.open();
    expect((await heavy).status).toBe(200);
  });

  test('no more is in the application than its limit, and nobody waits for ever, while heavy ones come at all of them', async () => {
    redis = await startRedis();
    const all = [await start('--redis', redis.url), await start('--redis', redis.url), await start('--redis', redis.url)];
    await set(all[0]?.admin ?? '', { ...COSTS, fairBy: 'header:X-Tenant' });
    const two = [await App.start(all[0]?.backend ?? '', 4), await App.start(all[1]?.backend ?? '', 4)];
    for (const app of two) app.open();
    const answers = await crowd(
      150,
      (i) => all[i % 3]?.url ?? '',
      (i) => ({ host: HOST, path: `/${i}`, headers: { 'x-cost': String(1 + ((i * 7) % 4)), 'x-tenant': `t${i % 4}` } }),
    );
    expect(statuses(answers)).toEqual({ 200: 150 });
    for (const { costsMax } of two) expect(costsMax).toBeLessThanOrEqual(4);
  });
});

async function heldAt(admin: string): Promise<number> {
  const state = (await (await fetch(`http://${admin}/api/v1/state`)).json()) as { routes: { name: string; held: number }[] };
  return state.routes.find(({ name }) => name === HOST)?.held ?? 0;
}

async function heavyHeld(admin: string): Promise<void> {
  await eventually('the heavy one is held', async () => (await heldAt(admin)) === 1);
}
