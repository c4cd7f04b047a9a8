/** A route with keys: each key has its own instance, wakes by itself, and is forgotten when it sleeps. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { nameParts } from '../../../../src/config/route-key.ts';
import { ask } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  dialRawLinker,
  type SomeLinker,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';

const ROUTE = 'app.example.com';

afterEach(async () => {
  closeClients();
  await closeAll();
});

/** Nodes that share a directory, and start an instance for each key that is asked for: its application says for which one. */
class World {
  readonly directory = new MemoryDirectory();
  readonly started: string[] = [];
  readonly linkers = new Map<string, SomeLinker>();
  readonly nodes: SomeNode[] = [];
  readonly #starting = new Map<string, Promise<unknown>>();

  async node(id: string, over: Partial<Parameters<typeof startSomeNode>[0]> = {}): Promise<SomeNode> {
    const node = await startSomeNode({ id, directory: this.directory, startNeeded: (name) => this.#start(name), ...over });
    this.nodes.push(node);
    return node;
  }

  async set(record: Record<string, unknown>): Promise<void> {
    await this.directory.setRoute(ROUTE, record);
    for (const { node } of this.nodes) {
      await eventually('the node has the settings', () => node.routes.get(ROUTE)?.settings.key?.from === String(record.key).split(':')[0]);
    }
  }

  /** That of the key; its first request may be served before the start has ended. */
  async linker(key: string): Promise<SomeLinker> {
    await eventually('the start has ended', () => this.linkers.has(`${ROUTE}~${key}`));
    return this.linkers.get(`${ROUTE}~${key}`) as SomeLinker;
  }

  /** As a scaler does it: as many as the key may have. */
  #start(name: string): void {
    if (this.#starting.has(name)) return;
    this.started.push(name);
    const begin = async (): Promise<void> => {
      const app = await CountingApp.listen();
      app.on('/', (_request, response) => response.end(nameParts(name).key ?? 'none'));
      app.on('/slow', () => {});
      const linker = await startSomeLinker(this.nodes[0] as SomeNode, app, { route: name, idleTimeoutMs: 600_000 });
      this.linkers.set(name, linker);
      void linker.exit.then(() => this.#starting.delete(name));
    };
    this.#starting.set(
      name,
      begin().catch(() => undefined),
    );
  }
}

async function keyed(record: Record<string, unknown> = {}): Promise<{ world: World; one: SomeNode }> {
  const world = new World();
  const one = await world.node('n1');
  await world.set({ key: 'header:x-user', maxInstances: 1, ...record });
  return { world, one };
}

const as = (user: string, { url }: SomeNode, path = '/') => ask(url, { host: ROUTE, path, headers: { 'X-User': user } });

describe('a route with a key', () => {
  test('starts an instance for each value, and gives a request to no other one', async () => {
    const { world, one } = await keyed();
    const users = ['alice', 'bob', 'carol', 'alice', 'bob', 'carol', 'Alice'];
    const answers = await Promise.all(users.map((user) => as(user, one)));
    expect(answers.map(({ status, body }) => [status, body])).toEqual(users.map((user) => [200, user]));
    expect(world.started.toSorted()).toEqual(['Alice', 'alice', 'bob', 'carol'].map((user) => `${ROUTE}~${user}`));
  });

  test('serves a key at the other node, too', async () => {
    const world = new World();
    const [one, two] = [await world.node('n1'), await world.node('n2')];
    await world.set({ key: 'header:x-user', maxInstances: 1 });
    expect((await as('alice', one)).body).toBe('alice');
    expect((await as('alice', two)).body).toBe('alice');
    expect(world.started).toEqual([`${ROUTE}~alice`]);
  });

  test.each([
    ['no value', '', 404, 'unknown_key'],
    ['what can be no key', '../etc', 404, 'unknown_key'],
    ['a key that the pattern does not allow', 'bob', 404, 'unknown_key'],
  ])('answers a request with %s itself, and starts nothing', async (_what, user, status, details) => {
    const { world, one } = await keyed({ keyPattern: 'a*' });
    const answer = await as(user, one);
    expect([answer.status, String(answer.headers['proxy-status'])]).toEqual([status, expect.stringContaining(`details=${details}`)]);
    expect([world.started, [...one.node.routes.keyed]]).toEqual([[], []]);
  });

  test('says no more keys than may be awake, over all nodes', async () => {
    const world = new World();
    const [one, two] = [await world.node('n1'), await world.node('n2')];
    await world.set({ key: 'header:x-user', maxInstances: 1, maxKeys: 2 });
    await Promise.all([as('a', one), as('b', two)]);
    for (const node of [one, two]) {
      const full = await as('c', node);
      expect([full.status, full.headers['retry-after'], String(full.headers['proxy-status'])]).toEqual([
        503,
        '5',
        expect.stringContaining('details=keys_full'),
      ]);
      expect((await as('a', node)).status).toBe(200);
    }
    (await world.linker('b')).linker.drain();
    await eventually('the place of the one that sleeps is free', async () => (await as('c', one)).status === 200, 20_000);
  }, 40_000);

  test('is not reached by a host that is called like one of its keys', async () => {
    const { one } = await keyed();
    await as('alice', one);
    const client = await connectClient(one.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}~alice\r\n\r\n`);
    expect([400, 404]).toContain((await client.response()).status);
  });

  test('forgets a key that sleeps', async () => {
    const { world, one } = await keyed();
    await as('alice', one);
    expect([...one.node.routes.keyed]).toHaveLength(1);
    const known = one.node.routes;
    (await world.linker('alice')).linker.drain();
    await eventually(
      'it is nowhere',
      async () => {
        known.all();
        const { routes } = await world.directory.snapshot();
        return [...known.keyed].length === 0 && routes.every(({ name }) => name === ROUTE);
      },
      20_000,
    );
    expect((await as('alice', one)).body).toBe('alice');
  }, 40_000);

  test('counts its keys as one route', async () => {
    const { one } = await keyed();
    await Promise.all(['a', 'b', 'a'].map((user) => as(user, one)));
    expect(one.node.routes.get(ROUTE)?.counters.codes.get(200)).toBe(3);
  });

  test('ends its keys when it is deleted: who is held hears of it, and instances leave', async () => {
    const { world, one } = await keyed();
    await as('alice', one);
    const { exit: left } = await world.linker('alice');
    await world.directory.setRoute(ROUTE, null);
    expect(await left).toBe(75);
    expect((await as('alice', one)).status).toBe(404);
  });

  test('that is deleted is heard of also by clients that wait for one instance', async () => {
    const { world, one } = await keyed({ affinity: 'client', affinityWait: '60s' });
    await as('alice', one);
    await eventually('its instance is known', async () => {
      const [key] = one.node.routes.keyed;
      await one.node.cluster.isAwake(key?.name ?? '');
      return [...one.node.routes.keyed].some(({ affinity, slots }) => affinity?.knows(slots.lenders[0]?.instance ?? '') === true);
    });
    for (let i = 0; i < 2; i++) as('alice', one, '/slow').catch(() => undefined);
    await eventually('it is busy', () => one.node.active === 2);
    const waits = as('alice', one);
    await eventually('it waits', () => [...one.node.routes.keyed].some(({ affinity }) => affinity?.waiting.size === 1));
    await world.directory.setRoute(ROUTE, null);
    expect((await waits).status).toBe(404);
  });

  test('counts what changes at the route for its keys', async () => {
    const { world, one } = await keyed();
    await as('alice', one);
    await world.directory.setRoute(ROUTE, { key: 'header:x-user', maxInstances: 1, maxHeld: 7 });
    await eventually('the key has it', () => [...one.node.routes.keyed][0]?.settings.maxHeld === 7);
  });

  test('is paused with all its keys, also those that wake meanwhile', async () => {
    const { world, one } = await keyed();
    await as('alice', one);
    await world.directory.pause(ROUTE, 60_000, 'wait');
    await eventually('it is paused', () => one.node.pauses.leftMs(ROUTE) > 0);
    const waiting = [as('alice', one), as('bob', one)];
    await eventually('both are held', () => one.node.held === 2);
    expect(world.started).toEqual([`${ROUTE}~alice`]);
    await world.directory.resume(ROUTE);
    expect((await Promise.all(waiting)).map(({ body }) => body)).toEqual(['alice', 'bob']);
  });
});

describe('what says the key', () => {
  test.each([
    ['host', '*.example.org', { host: 'feature-1.example.org' }, 'feature-1.example.org'],
    ['path:2', ROUTE, { host: ROUTE, path: '/u/alice/notes?x=/u/bob' }, 'alice'],
    ['cookie:user', ROUTE, { host: ROUTE, headers: { Cookie: 'a=b; user=alice; c=d' } }, 'alice'],
    ['cookie:user', ROUTE, { host: ROUTE, headers: { Cookie: 'user=alice; user=alice' } }, 'alice'],
  ])('%s of %s', async (key, name, what, expected) => {
    const world = new World();
    const one = await world.node('n1');
    await world.directory.setRoute(name, { key, maxInstances: 1 });
    await eventually('the node knows it', () => one.node.routes.get(name)?.settings.key !== undefined);
    await new Promise((resolve) => setImmediate(resolve));
    void ask(one.url, what).catch(() => undefined);
    await eventually('it is started', () => world.started.length === 1);
    expect(world.started).toEqual([`${name}~${expected}`]);
  });

  test.each([
    ['path:2', '/u/alice/..%2fbob'],
    ['path:2', '/u/%61lice'],
    ['path:2', '/u//alice'],
    ['path:2', '/u/alice;v=1'],
    ['path:2', '/u/x/../alice'],
  ])('is refused where application and node could read two: %s of %s', async (key, path) => {
    const { world, one } = await keyed({ key });
    const client = await connectClient(one.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    expect((await client.response()).status).toBe(400);
    expect(world.started).toEqual([]);
  });

  test.each([
    ['cookie:user', 'Cookie: user=alice; user=bob', 400],
    ['header:x-user', 'X-User: alice\r\nX-User: bob', 404],
  ])('is refused where it is there twice: %s, %j', async (key, lines, status) => {
    const { world, one } = await keyed({ key });
    const client = await connectClient(one.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n${lines}\r\n\r\n`);
    expect((await client.response()).status).toBe(status);
    expect(world.started).toEqual([]);
  });
});

describe('a linker', () => {
  test('that says no key is not an instance of a route with keys', async () => {
    const { one } = await keyed();
    const { said } = await dialRawLinker(one.backendPort, { route: ROUTE });
    await eventually('it is refused', () => said.some((words) => words.includes('--key')));
  });

  test('that says a key is not an instance of a route without keys', async () => {
    const one = await startSomeNode({ routes: { [ROUTE]: {} } });
    const { said } = await dialRawLinker(one.backendPort, { route: `${ROUTE}~alice` });
    await eventually('it is refused', () => said.some((words) => words.includes('no keys')));
  });

  test('for a key that has its only instance gets nothing, and ends', async () => {
    const { world, one } = await keyed();
    expect((await as('alice', one)).body).toBe('alice');
    const app = await CountingApp.listen();
    app.on('/', (_request, response) => response.end('a second one'));
    const second = startSomeLinker(one, app, { route: `${ROUTE}~alice` });
    const answers = await Promise.all(Array.from({ length: 50 }, () => as('alice', one)));
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['alice']));
    await expect(second).rejects.toThrow();
    expect([app.requests, world.started.length]).toEqual([0, 1]);
  });
});
