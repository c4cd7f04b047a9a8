import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const node = (settings: Readonly<Record<string, unknown>> = {}) =>
  startLoneNode({ routes: { 'app.test': { holdTimeout: '60s', holdSignal: '100ms', ...settings } } });
const serve = async (backendPort: number) => {
  const app = await ScriptedApp.serving(() => ok('served'));
  await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
};
const PROCESSING = 'HTTP/1.1 102 Processing\r\n\r\n';

describe('a held client hears that it is held', () => {
  test('by interim responses, before its own response, and not after it', async () => {
    const { port, backendPort, node: own } = await node();
    const client = await connectClient(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await eventually('it has heard it twice', () => client.receivedBytes >= 2 * PROCESSING.length);
    expect(client.receivedBytes % PROCESSING.length).toBe(0);
    expect(own.held).toBe(1);
    await serve(backendPort);
    for (;;) {
      const response = await client.response();
      if (response.status === 102) continue;
      expect([response.status, response.body.toString()]).toEqual([200, 'served']);
      break;
    }
    expect(own.routes.get('app.test')?.held.size).toBe(0);
  });

  test('by HTTP/2', async () => {
    const { port, backendPort } = await node();
    const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':authority': 'app.test' });
    const interim: unknown[] = [];
    stream.on('headers', (headers: Record<string, unknown>) => interim.push(headers[':status']));
    await eventually('it has heard it twice', () => interim.length >= 2);
    await serve(backendPort);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(200);
    expect(new Set(interim)).toEqual(new Set([102]));
  });

  test.each([
    ['not by HTTP/1.0', 'GET / HTTP/1.0\r\nHost: app.test\r\n\r\n', {}],
    ['not where the route does not say so', 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n', { holdSignal: '20m' }],
  ])('%s', async (_what, request, settings) => {
    const { port, node: own } = await node(settings);
    const client = await connectClient(port);
    client.send(request);
    await eventually('it is held', () => own.held === 1);
    const since = performance.now();
    await eventually('three times the interval', () => performance.now() - since > 350);
    expect(client.receivedBytes).toBe(0);
  });
});
