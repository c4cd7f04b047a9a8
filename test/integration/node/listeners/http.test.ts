import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

function forwardedFor(): Promise<ScriptedApp> {
  return ScriptedApp.serving((request) => ok(request.values('x-forwarded-for').join()));
}

describe('a client’s address', () => {
  test.each([
    ['of IPv4', '127.0.0.1', '127.0.0.1', '127.0.0.1'],
    ['of IPv6', '::1', '::1', '::1'],
    ['of IPv4 at a port of both', '::', '127.0.0.1', '127.0.0.1'],
    ['of IPv6 at a port of both', '::', '::1', '::1'],
  ])('%s is told as it is', async (_what, host, from, address) => {
    const app = await forwardedFor();
    const { port } = await startServedNode(app.port, { listen: { host } });
    const client = await connectClient(port, from);
    client.send('GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n');
    expect((await client.response()).text).toBe(address);
  });
});

test('the address that it listens at can be dialled as it is said', async () => {
  const { node } = await startLoneNode({ listen: { host: '::1' } });
  await node.stop();
  const { port } = await startLoneNode({ listen: { host: '::1' } });
  await connectClient(port, '::1');
});

test('a port that is taken is said, and the node does not start', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await expect(startLoneNode({ listen: { port } })).rejects.toThrow(/EADDRINUSE/);
  other.close();
});

/** A client of its own asks, and is answered. */
async function served(port: number): Promise<boolean> {
  const client = await connectClient(port);
  client.send(GET);
  return client.response().then(
    ({ status }) => status === 200,
    () => false,
  );
}

/** Two clients are served and stay; the one that comes then is closed without a word. */
async function twoAndNotAThird(port: number): Promise<RawSocket[]> {
  const clients = [await connectClient(port), await connectClient(port)];
  for (const client of clients) {
    client.send(GET);
    await client.response();
  }
  const third = await connectClient(port);
  await third.ended();
  expect(third.receivedBytes).toBe(0);
  return clients;
}

describe('connections beyond connectionsMax', () => {
  test('are closed, and there is room again when others have left', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port, { connectionsMax: 2 });
    const clients = await twoAndNotAThird(port);
    clients[0]?.end();
    await clients[0]?.ended();
    await eventually('room for another', () => served(port));
  });
});

describe('connections of one address beyond connectionsPerAddressMax', () => {
  test('are closed, those of others are not, and there is room again when some have left', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port, { connectionsPerAddressMax: 2, listen: { host: '::' } });
    const clients = await twoAndNotAThird(port);
    const other = await connectClient(port, '::1');
    other.send(GET);
    expect((await other.response()).status).toBe(200);
    clients[0]?.end();
    await eventually('room for another', () => served(port));
  });

  test('count once when they turn out to be HTTP/2', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await startServedNode(app.port, { connectionsPerAddressMax: 1 });
    const client = await connectClient(port);
    client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await client.until(() => client.receivedBytes > 0);
    expect(await served(port)).toBe(false);
    client.reset();
    await eventually('room for another', () => served(port));
  });

  test('through a trusted proxy count by the address that it names', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const trusted = { trustedProxies: [{ address: '127.0.0.1', bits: 32 }], listen: { proxyProtocol: 'v1' } as const };
    const { port } = await startServedNode(app.port, { connectionsPerAddressMax: 1, ...trusted });
    const from = async (address: string): Promise<RawSocket> => {
      const client = await connectClient(port);
      client.send(`PROXY TCP4 ${address} 192.0.2.1 1 80\r\n${GET}`);
      return client;
    };
    const first = await from('198.51.100.1');
    expect((await first.response()).status).toBe(200);
    const again = await from('198.51.100.1');
    await again.ended();
    expect(again.receivedBytes).toBe(0);
    expect((await (await from('198.51.100.2')).response()).status).toBe(200);
    first.end();
    await eventually('room for it', async () => {
      const client = await from('198.51.100.1');
      await client.until(() => client.receivedBytes > 0 || client.ending !== null, 'an answer or the end', true);
      return client.receivedBytes > 0;
    });
  });
});

test('clients that break off before they are accepted harm nobody', async () => {
  const app = await ScriptedApp.serving(() => ok('hello'));
  const { port } = await startServedNode(app.port);
  for (let i = 0; i < 50; i++) (await connectClient(port)).reset();
  const client = await connectClient(port);
  client.send(GET);
  expect((await client.response()).text).toBe('hello');
});
