/** Requests that take several slots, at a node that has the instances of their route by relays only. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { type ApplicationResponse, ask, crowd, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  type NodeBehindDoor,
  ROUTE,
  type SomeLinker,
  type SomeNode,
  startNodeBehindDoor,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';

const CONCURRENCY = 4;
const ROUTES = { [ROUTE]: { cost: 'header:X-Cost', trustClients: 'true', holdTimeout: '60s' } };

/** `home` has the linker, whose clients come to `holder`; only nodes get through the door to `holder`. */
let app: CostlyApp;
let home: SomeNode;
let holder: NodeBehindDoor;
let directory: MemoryDirectory;
let one: SomeLinker;

/** It answers /wait when it is told to, and counts what its requests cost. */
class CostlyApp {
  costs = 0;
  costsMax = 0;
  readonly seen: string[] = [];
  readonly waiting: (() => void)[] = [];
  port = 0;

  static async listen(): Promise<CostlyApp> {
    const app = new CostlyApp();
    const server = await CountingApp.listen();
    app.port = server.port;
    for (const path of ['/wait', '/now', '/heavy'])
      server.on(path, (request, response) => {
        const cost = Number(request.headers['x-cost'] ?? 1);
        app.seen.push(path);
        app.costs += cost;
        app.costsMax = Math.max(app.costsMax, app.costs);
        let over = false;
        const end = (): void => {
          if (over) return;
          over = true;
          app.costs -= cost;
          response.end(path);
        };
        response.once('close', end);
        if (path === '/wait') app.waiting.push(end);
        else setImmediate(end);
      });
    return app;
  }

  answer(): void {
    this.waiting.shift()?.();
  }
}

const get = ({ url }: SomeNode, path: string, cost = 1): Promise<ApplicationResponse> =>
  ask(url, { host: ROUTE, path, headers: { 'x-cost': String(cost) } });

beforeEach(async () => {
  directory = new MemoryDirectory();
  app = await CostlyApp.listen();
  home = await startSomeNode({ id: 'home', directory, routes: ROUTES });
  holder = await startNodeBehindDoor({ id: 'holder', directory, routes: ROUTES });
  one = await startSomeLinker(home, app, { concurrency: CONCURRENCY });
});

afterEach(async () => {
  closeClients();
  await closeAll();
});

const quiet = async (slots = CONCURRENCY): Promise<void> => {
  await expectQuiet(holder);
  await expectQuiet(home, slots);
  for (const { node } of [home, holder]) expect(node.routes.get(ROUTE)?.gatherings.size).toBe(0);
};

test('a heavy one is served with slots that its instance has idle at the other node', async () => {
  expect(await get(holder, '/heavy', CONCURRENCY)).toMatchObject({ status: 200 });
  expect((await get(holder, '/heavy', CONCURRENCY)).status).toBe(200);
  await quiet();
});

test('a heavy one waits until the other node has its slots together, and those who come later do not overtake it there', async () => {
  const running = [1, 2, 3].map(() => get(home, '/wait'));
  await eventually('they are there', () => app.waiting.length === 3);
  // The relay is there, and has a slot in use.
  const light = get(holder, '/wait');
  await eventually('it is there', () => app.waiting.length === 4);
  const heavy = get(holder, '/heavy', CONCURRENCY);
  await eventually('it is held', () => holder.node.held === 1);
  app.answer();
  await running[0];
  await eventually('the slot is kept', () => home.node.routes.get(ROUTE)?.gatherings.size === 1);
  const later = [get(home, '/now'), get(holder, '/now')];
  for (let i = 0; i < 3; i++) app.answer();
  expect((await heavy).status).toBe(200);
  expect(app.seen.indexOf('/heavy')).toBe(4);
  expect(statuses(await Promise.all([...running, light, ...later]))).toEqual({ 200: 6 });
  expect(app.costsMax).toBe(CONCURRENCY);
  await quiet();
});

test('no more is in the application than its limit, and nobody waits for ever, while all kinds come at both nodes', async () => {
  const answers = await crowd(
    60,
    (i) => (i % 3 === 0 ? home.url : holder.url),
    (i) => ({ host: ROUTE, path: '/now', headers: { 'x-cost': String(1 + ((i * 7) % CONCURRENCY)) } }),
  );
  expect(statuses(answers)).toEqual({ 200: 60 });
  expect(app.costsMax).toBeLessThanOrEqual(CONCURRENCY);
  await quiet();
});

/** A request of the holder takes all slots, of which one is in use; the others are kept for it. */
async function gathering(): Promise<{ heavy: Promise<ApplicationResponse>; light: Promise<ApplicationResponse> }> {
  const light = get(home, '/wait');
  await eventually('it is there', () => app.waiting.length === 1);
  const heavy = get(holder, '/heavy', CONCURRENCY);
  await eventually('its slots are being brought together', () => home.node.routes.get(ROUTE)?.gatherings.size === 1);
  return { heavy, light };
}

describe('while slots are brought together for a client of the other node', () => {
  test('nothing stays reserved when that client is gone', async () => {
    const light = get(home, '/wait');
    await eventually('it is there', () => app.waiting.length === 1);
    const heavy = await connectClient(holder.port);
    heavy.send(`GET /heavy HTTP/1.1\r\nHost: ${ROUTE}\r\nX-Cost: ${CONCURRENCY}\r\n\r\n`);
    await eventually('its slots are being brought together', () => home.node.routes.get(ROUTE)?.gatherings.size === 1);
    heavy.reset();
    expect((await get(home, '/now')).status).toBe(200);
    app.answer();
    expect((await light).status).toBe(200);
    await quiet();
  });

  test('the link between the nodes breaks: it is served all the same', async () => {
    const { heavy, light } = await gathering();
    const passed = holder.door.passed;
    holder.door.slam();
    await eventually('the nodes are linked anew', () => holder.door.passed > passed);
    app.answer();
    expect(statuses(await Promise.all([heavy, light]))).toEqual({ 200: 2 });
    await quiet();
  });

  test('its instance drains: another one serves it', async () => {
    const { heavy, light } = await gathering();
    one.linker.drain();
    const next = await startSomeLinker(home, app, { concurrency: CONCURRENCY });
    app.answer();
    expect(statuses(await Promise.all([heavy, light]))).toEqual({ 200: 2 });
    expect(await one.exit).toBe(0);
    await quiet();
    next.linker.drain();
  });

  test('the node that relays drains: its linker goes to the next node, and serves it from there', async () => {
    const third = await startSomeNode({ id: 'third', directory, routes: ROUTES });
    const { heavy, light } = await gathering();
    const next = await startSomeLinker(third, app, { concurrency: CONCURRENCY });
    const drained = home.node.drain(5_000);
    app.answer();
    expect(statuses(await Promise.all([heavy, light]))).toEqual({ 200: 2 });
    await drained;
    await expectQuiet(holder);
    next.linker.drain();
  });

  test('its limit falls below the cost: others pass, and it is served when the limit is high enough again', async () => {
    const { heavy, light } = await gathering();
    one.linker.limit.set(2, 'control');
    expect((await get(home, '/now')).status).toBe(200);
    expect((await get(holder, '/now')).status).toBe(200);
    app.answer();
    await light;
    expect(holder.node.held).toBe(1);
    one.linker.limit.set(CONCURRENCY, 'control');
    expect((await heavy).status).toBe(200);
    await quiet();
  });
});

test('of two instances, both relayed, the one that can have so many serves it', async () => {
  const small = await CostlyApp.listen();
  await startSomeLinker(home, small, { concurrency: 2 });
  expect(statuses(await Promise.all([1, 2, 3].map(() => get(holder, '/now'))))).toEqual({ 200: 3 });
  expect(statuses(await Promise.all([1, 2, 3].map(() => get(holder, '/heavy', CONCURRENCY))))).toEqual({ 200: 3 });
  expect(small.seen).not.toContain('/heavy');
  await quiet(CONCURRENCY + 2);
});

test('more than any instance can have is refused in clear words, also there', async () => {
  await get(holder, '/now');
  expect((await get(holder, '/heavy', CONCURRENCY + 1)).status).toBe(413);
  expect(app.seen).not.toContain('/heavy');
});
