/** Answers and tunnels that take long: no timer for answers cuts them, and a drain not before its time. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { closeEverything, type LoneNodeOptions, startServedNode } from '../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const UPGRADE = GET.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const EVENTS = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const EVENT = '7\r\ndata:x\n\r\n';

/** Every timer of the node that could mistake silence for its own business. */
const SHORT_MS = 200;
const SHORT: LoneNodeOptions = {
  headTimeoutMs: SHORT_MS,
  keepAliveTimeoutMs: SHORT_MS,
  stallTimeoutMs: SHORT_MS,
  tcpIdleTimeoutMs: SHORT_MS,
  upgradeIdleTimeoutMs: SHORT_MS,
  routes: { '*': { holdTimeout: `${SHORT_MS}ms` } },
};

async function asked(request: string, options: LoneNodeOptions = {}) {
  const app = await ScriptedApp.listen();
  const served = await startServedNode(app.port, options);
  const client = await connectClient(served.port);
  client.send(request);
  const connection = await app.next();
  await connection.takeThrough('\r\n\r\n');
  return { ...served, client, connection };
}

/** All of these timers have run out several times: an idle connection that came later is gone, and its like twice more. */
async function timersPass(port: number): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const idle = await connectClient(port);
    await idle.ended();
    idle.end();
  }
}

function alive({ ending }: RawSocket): boolean {
  return ending === null;
}

describe('no timer cuts off', () => {
  test('a long poll: an application may be silent before its response', async () => {
    const { client, connection, port } = await asked(GET, SHORT);
    await timersPass(port);
    expect([client, connection].map(alive)).toEqual([true, true]);
    connection.send(ok('at last'));
    expect((await client.response()).text).toBe('at last');
  });

  test('events: an application may be silent within its response', async () => {
    const { client, connection, port } = await asked(GET, SHORT);
    connection.send(EVENTS);
    for (let i = 0; i < 2; i++) {
      connection.send(EVENT);
      await client.takeThrough(EVENT);
      await timersPass(port);
    }
    expect([client, connection].map(alive)).toEqual([true, true]);
  });

  test('an Upgrade that has not been answered: only from then on its silence counts', async () => {
    const { client, connection, port } = await asked(UPGRADE, SHORT);
    await timersPass(port);
    expect([client, connection].map(alive)).toEqual([true, true]);
    connection.send(SWITCHING);
    await client.takeThrough('\r\n\r\n');
    expect(await client.ended()).toBe('fin');
    expect(client.receivedBytes).toBeGreaterThan(0);
  });
});

describe('a node that drains', () => {
  const LONG_MS = 60_000;

  test('leaves a tunnel, events and a long poll alone until they end, and ends then', async () => {
    const all = [await asked(UPGRADE), await asked(GET), await asked(GET)];
    const [tunnel, events, poll] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]];
    tunnel.connection.send(SWITCHING);
    await tunnel.client.takeThrough('\r\n\r\n');
    events.connection.send(EVENTS);
    await events.client.takeThrough('\r\n\r\n');
    const over: string[] = [];
    const drains = [tunnel, events, poll].map(({ node }, i) =>
      node.drain(LONG_MS).then(() => over.push(['tunnel', 'events', 'poll'][i] as string)),
    );
    for (const { node, port } of all) {
      await eventually('it takes nobody in', () =>
        connectClient(port).then(
          () => false,
          () => true,
        ),
      );
      expect(node.active).toBe(1);
    }
    tunnel.client.send('ping');
    expect((await tunnel.connection.take(4)).toString()).toBe('ping');
    tunnel.connection.send('pong');
    expect((await tunnel.client.take(4)).toString()).toBe('pong');
    events.connection.send(EVENT);
    await events.client.takeThrough(EVENT);
    expect(over).toEqual([]);
    expect(all.map(({ client, connection }) => alive(client) && alive(connection))).toEqual([true, true, true]);
    tunnel.connection.end();
    events.connection.send('0\r\n\r\n');
    poll.connection.send(ok('at last'));
    expect((await poll.client.response()).text).toBe('at last');
    expect((await events.client.takeThrough('0\r\n\r\n')).length).toBe(5);
    for (const { client } of all) {
      expect(await client.ended()).toBe('fin');
      client.end();
    }
    await Promise.all(drains);
    expect(over.toSorted()).toEqual(['events', 'poll', 'tunnel']);
  });

  test('closes them when its time is up: a tunnel by the end of the connection, without a word of its own', async () => {
    const [tunnel, events] = [await asked(UPGRADE), await asked(GET)];
    tunnel.connection.send(`${SWITCHING}last`);
    await tunnel.client.takeThrough('\r\n\r\n');
    expect((await tunnel.client.take(4)).toString()).toBe('last');
    events.connection.send(EVENTS);
    await events.client.takeThrough('\r\n\r\n');
    await Promise.all([tunnel.node.drain(SHORT_MS), events.node.drain(SHORT_MS)]);
    for (const { client, connection } of [tunnel, events]) {
      await client.ended();
      await connection.ended();
      // No last chunk that would make of a part the whole, no frame that the application did not send.
      expect(client.unread.length).toBe(0);
    }
  });
});
