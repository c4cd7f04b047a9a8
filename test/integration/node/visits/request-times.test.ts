/** How long requests took, by route: what metrics and charts are made of. */
import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import type { ProxyNode } from '../../../../src/node/node.ts';
import { ask } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

function counted(node: ProxyNode, route: string): { count: number; sum: number } {
  const { counts, sum } = node.routes.get(route)?.counters.requests ?? { counts: [], sum: 0 };
  return { count: counts.reduce((total, count) => total + count, 0), sum };
}

test('a request counts until its response is complete; one whose client left does not', async () => {
  const app = await ScriptedApp.listen();
  const { node, port } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send('GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n');
  const connection = await app.next();
  await connection.takeThrough('\r\n\r\n');
  const at = performance.now();
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe');
  await client.takeThrough('he');
  expect(counted(node, '*')).toEqual({ count: 0, sum: 0 });
  connection.send('re');
  await client.takeThrough('re');
  expect(counted(node, '*').count).toBe(1);
  expect(counted(node, '*').sum).toBeGreaterThan(0);
  expect(counted(node, '*').sum).toBeLessThan((performance.now() - at) / 1_000 + 5);
  client.send('GET /left HTTP/1.1\r\nHost: app.test\r\n\r\n');
  await connection.takeThrough('\r\n\r\n');
  client.socket.destroy();
  await eventually('it has left', () => node.routes.get('*')?.counters.codes.get(499) === 1);
  expect(counted(node, '*').count).toBe(1);
});

test('a tunnel does not count, however long it lasts', async () => {
  const app = await ScriptedApp.listen();
  const { node, port } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const connection = await app.next();
  await connection.takeThrough('\r\n\r\n');
  connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await client.takeThrough('\r\n\r\n');
  connection.socket.end();
  await client.ended();
  expect(node.routes.get('*')?.counters.codes.get(101)).toBe(1);
  expect(counted(node, '*').count).toBe(0);
});

test("pullproxy's own responses count, as their clients felt them", async () => {
  const { node, port } = await startLoneNode({ routes: { 'none.test': { holdTimeout: '100ms' } } });
  expect((await ask(`http://127.0.0.1:${port}`, { host: 'none.test' })).status).toBe(503);
  expect(counted(node, 'none.test').count).toBe(1);
  expect(counted(node, 'none.test').sum).toBeGreaterThan(0.09);
});

test('requests of HTTP/2 count in the same way', async () => {
  const app = createServer((_, response) => {
    response.write('a');
    setTimeout(() => response.end('b'), 60);
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const { node, port, backendPort } = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
  await FakeLinker.dial({ backendPort, appPort: (app.address() as AddressInfo).port, route: 'app.test' });
  expect(await askHttp2(connectHttp2(`http://127.0.0.1:${port}`), { ':path': '/' })).toMatchObject({ status: 200, text: 'ab' });
  await eventually('counted', () => counted(node, 'app.test').count === 1);
  expect(counted(node, 'app.test').sum).toBeGreaterThan(0.05);
  app.close();
});

test('requests of HTTP/1.1 that follow each other on one connection count each', async () => {
  const app = await ScriptedApp.serving(() => ok('hi'));
  const { node, port } = await startServedNode(app.port);
  const client = await connectClient(port);
  for (let i = 1; i <= 3; i++) {
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await client.takeThrough('hi');
    expect(counted(node, '*').count).toBe(i);
  }
});
