import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { FakeLinker } from '../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';
import { connectClient } from '../../support/raw-client.ts';

afterEach(() => {
  closeHttp2();
  return closeEverything();
});

const TCP = { 'app.test': { protocol: 'tcp' } };
/** To memcached or Redis its second line would be a command. */
const COMMAND = 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nFLUSHALL\n';

async function startLineApp(options: LoneNodeOptions) {
  const app = await ScriptedApp.listen();
  const started: string[] = [];
  const lone = await startLoneNode({ ...options, startNeeded: (route) => started.push(route) });
  const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test' });
  await eventually('the slot is there', () => (lone.node.routes.get('app.test')?.slots.lenders.length ?? 0) > 0);
  return { app, lone, linker, started };
}

test('a request by HTTP/1.1 for an application that speaks TCP is refused, and not a byte reaches it', async () => {
  const { app, lone, linker, started } = await startLineApp({ routes: TCP });
  const client = await connectClient(lone.port);
  client.send(COMMAND);
  const answer = await client.response();
  expect(answer.status).toBe(421);
  expect(answer.values('proxy-status')).toEqual(['pullproxy; error=http_request_denied; details=wrong_protocol']);
  expect(linker.opened).toEqual([]);
  expect(app.connections).toHaveLength(0);
  expect(started).toEqual([]);
});

test('a request by HTTP/2 for an application that speaks TCP is refused', async () => {
  const { app, lone } = await startLineApp({ routes: TCP });
  const session = connectHttp2(`http://127.0.0.1:${lone.port}`);
  const answer = await askHttp2(session, { ':method': 'POST', ':path': '/' }, 'FLUSHALL\n');
  expect(answer.status).toBe(421);
  expect(app.connections).toHaveLength(0);
});

test('an Upgrade does not get to an application that speaks TCP either', async () => {
  const { app, lone } = await startLineApp({ routes: TCP });
  const client = await connectClient(lone.port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: redis\r\n\r\n');
  expect((await client.response()).status).toBe(421);
  expect(app.connections).toHaveLength(0);
});

test('a wildcard route that speaks TCP refuses requests for every name below it', async () => {
  const { app, lone } = await startLineApp({ routes: { '*.test': { protocol: 'tcp' } } });
  const client = await connectClient(lone.port);
  client.send(COMMAND.replace('app.test', 'other.test'));
  expect((await client.response()).status).toBe(421);
  expect(app.connections).toHaveLength(0);
});

test("the same application is served at the route's own TCP port", async () => {
  const { app, lone } = await startLineApp({ routes: TCP, listen: { protocol: 'tcp', route: 'app.test' } });
  const client = await connectClient(lone.port);
  client.send('FLUSHALL\r\n');
  const connection = await app.next();
  expect(await connection.takeThrough('\r\n')).toBe('FLUSHALL\r\n');
});
