/** Requests of HTTP/2 that go on as such are lines of the access log, too. */
import { once } from 'node:events';
import { createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { AccessLines } from '../../../support/access-lines.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';

let app: Http2Server;
let lines: AccessLines;

beforeEach(async () => {
  app = createServer((request, response) => {
    if (request.url === '/break') response.stream.close(2);
    else if (request.url !== '/silent') request.resume().once('end', () => response.end('hello'));
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  lines = new AccessLines();
});

afterEach(async () => {
  closeHttp2();
  await closeEverything();
  app.close();
});

async function connected() {
  const { port, backendPort } = await startLoneNode({ watchers: [lines.log], routes: { 'app.test': { protocol: 'h2c' } } });
  await FakeLinker.dial({ backendPort, appPort: (app.address() as AddressInfo).port, route: 'app.test' });
  return connectHttp2(`http://127.0.0.1:${port}`);
}

test('one that ends in order', async () => {
  const session = await connected();
  expect(await askHttp2(session, { ':path': '/a?b', ':method': 'POST' }, 'x'.repeat(1_000))).toMatchObject({ status: 200, text: 'hello' });
  const line = await lines.next();
  expect(line).toMatchObject({
    protocol: 'HTTP/2.0',
    route: 'app.test',
    method: 'POST',
    path: '/a',
    status: 200,
    bytesOut: 5,
    instance: 'i1',
    end: '--',
  });
  expect(Number(line.bytesIn)).toBeGreaterThan(1_000);
});

test('one that the application breaks off, and one whose client leaves', async () => {
  const session = await connected();
  await expect(askHttp2(session, { ':path': '/break' })).rejects.toThrow();
  expect(await lines.next()).toMatchObject({ path: '/break', end: 'SH', reason: 'application_broke_off' });
  const left = session.request({ ':authority': 'app.test', ':path': '/silent' });
  left.on('error', () => {});
  await once(app, 'stream');
  left.close(8);
  expect(await lines.next()).toMatchObject({ path: '/silent', end: 'CH', reason: 'client_closed', status: 499 });
});
