import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../../src/linker/free-port.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const TCP: LoneNodeOptions = { listen: { protocol: 'tcp', route: 'db' }, routes: { db: {} } };

async function served(appPort: number, concurrency = 4, options: LoneNodeOptions = {}) {
  const lone = await startLoneNode({ ...TCP, ...options });
  return { ...lone, linker: await FakeLinker.dial({ backendPort: lone.backendPort, appPort, route: 'db', concurrency }) };
}

async function connected(concurrency?: number, options?: LoneNodeOptions) {
  const app = await ScriptedApp.listen();
  const all = await served(app.port, concurrency, options);
  const client = await connectClient(all.port);
  return { ...all, app, client, connection: await app.next() };
}

describe('a TCP connection', () => {
  test('carries bytes both ways, whoever speaks first', async () => {
    const { client, connection } = await connected();
    connection.send('220 ready\r\n');
    expect(await client.takeThrough('\n')).toBe('220 ready\r\n');
    client.send('QUIT\r\n');
    expect(await connection.takeThrough('\n')).toBe('QUIT\r\n');
    const other = await connectClient(
      (await served((await ScriptedApp.listen((to) => to.takeThrough('\n').then((line) => to.send(line)))).port)).port,
    );
    other.send('echo\n');
    expect(await other.takeThrough('\n')).toBe('echo\n');
  });

  test('whose client ends before the application has said a word still brings it the response', async () => {
    const { client, connection, linker } = await connected();
    client.end('request');
    expect((await connection.take(7)).toString()).toBe('request');
    expect(await connection.ended()).toBe('fin');
    connection.end('answer');
    expect((await client.take(6)).toString()).toBe('answer');
    expect(await client.ended()).toBe('fin');
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('whose client has nothing to say hears what the application says', async () => {
    const { client, connection } = await connected();
    client.end();
    expect(await connection.ended()).toBe('fin');
    connection.end('220 ready');
    expect((await client.take(9)).toString()).toBe('220 ready');
    expect(await client.ended()).toBe('fin');
  });

  test('whose client spoke while it was held and ends when it is served gets its response', async () => {
    const { node, port, backendPort } = await startLoneNode(TCP);
    const client = await connectClient(port);
    client.send('request');
    await eventually('a held client', () => node.held === 1);
    const app = await ScriptedApp.listen();
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'db' });
    const connection = await app.next();
    client.end();
    expect((await connection.take(7)).toString()).toBe('request');
    expect(await connection.ended()).toBe('fin');
    connection.end('answer');
    expect((await client.take(6)).toString()).toBe('answer');
  });

  test('whose application ends first still brings it what the client says', async () => {
    const { client, connection, linker } = await connected();
    connection.end('bye');
    expect((await client.take(3)).toString()).toBe('bye');
    expect(await client.ended()).toBe('fin');
    client.end('last');
    expect((await connection.take(4)).toString()).toBe('last');
    expect(await connection.ended()).toBe('fin');
    expect((await linker.ends(1)).closed).toBe(1);
  });

  test('occupies its slot as long as it lasts: the next client is held', async () => {
    const { client, connection, node, port, app } = await connected(1);
    const second = await connectClient(port);
    second.send('hello');
    await eventually('a held client', () => node.held === 1);
    expect(app.connections).toHaveLength(1);
    client.end();
    connection.end();
    const other = await app.next();
    expect((await other.take(5)).toString()).toBe('hello');
  });

  test('that is held takes a bounded number of bytes, and all of them arrive', async () => {
    const { node, port, backendPort } = await startLoneNode(TCP);
    const client = await connectClient(port);
    client.send(Buffer.alloc(5_000_000, 'x'));
    await eventually('a held client', () => node.held === 1);
    await turns(20);
    expect(node.routes.get('db')?.held.bytes).toBeLessThan(150_000);
    const app = await ScriptedApp.listen();
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'db' });
    const connection = await app.next();
    expect(await connection.take(5_000_000)).toHaveLength(5_000_000);
  });

  test.each(['end', 'reset'] as const)('whose client leaves (%s) while it is held leaves the queue', async (how) => {
    const { node, port } = await startLoneNode(TCP);
    const client = await connectClient(port);
    client.send(Buffer.alloc(100_000));
    await eventually('a held client', () => node.held === 1);
    await turns();
    client[how]();
    await eventually('nobody held', () => node.held === 0, 5_000);
  });

  test('for which nobody comes in time is closed', async () => {
    const { port } = await startLoneNode({ ...TCP, routes: { db: { holdTimeout: '200ms' } } });
    const client = await connectClient(port);
    await client.ended();
    expect(client.receivedBytes).toBe(0);
  });

  test('that the application refuses is broken, after some attempts', async () => {
    const { port, linker } = await served(await freePort());
    const client = await connectClient(port);
    expect(await client.ended()).toBe('reset');
    expect(linker.opened).toHaveLength(3);
  });

  test.each(['client', 'application'] as const)('that the %s breaks is broken for the other side', async (who) => {
    const { client, connection, linker } = await connected();
    connection.send('x');
    await client.take(1);
    const [breaks, sees] = who === 'client' ? [client, connection] : [connection, client];
    breaks.reset();
    if (who === 'client') await sees.ended();
    else expect(await sees.ended()).toBe('reset');
    await eventually('the slot is free', () => linker.inUse === 0);
  });
});

test.each([0, 1])(
  'a TCP connection on which nothing moves is closed after its time, on both sides, %s words were said before',
  async (words) => {
    const { client, connection, node } = await connected(1, { tcpIdleTimeoutMs: 400 });
    if (words > 0) {
      connection.send('220 ready');
      await client.take(9);
    }
    expect(await client.ended()).toBe('fin');
    await connection.ended();
    await eventually('the slot is free', () => node.active === 0);
  },
);

test('a TCP connection that waits for a slot is not idle', async () => {
  const { client, port, app } = await connected(1, { tcpIdleTimeoutMs: 400 });
  const second = await connectClient(port);
  second.send('x');
  const done = client.ended();
  client.send('x');
  await done;
  const connection = await app.next();
  expect((await connection.take(1)).toString()).toBe('x');
});
