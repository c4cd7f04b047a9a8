import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { runCommand, startProcess } from '../../support/processes.ts';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-node-'));
afterAll(() => rmSync(directory, { recursive: true }));

const NODE = ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

function statusOf(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

describe('a node as a process', () => {
  test('says where it listens, serves, and leaves with 0 at SIGTERM', async () => {
    const node = await startProcess([...NODE, '--listen', 'http://127.0.0.1:0', '--id', 'n1']);
    expect(node.ready).toMatchObject({
      listen: [expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/), expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)],
      backend: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      admin: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      id: 'n1',
    });
    const [listen] = node.ready.listen as string[];
    expect(await statusOf(listen ?? '', 'unknown.example.com')).toBe(404);
    const state = await (await fetch(`http://${node.ready.admin}/api/v1/state`)).json();
    expect(state).toMatchObject({ node: 'n1', redis: { connected: null }, nodes: [{ id: 'n1', held: 0 }], routes: [] });
    expect(await (await fetch(`http://${node.ready.admin}/metrics`)).text()).toContain(
      'pullproxy_requests_total{route="unknown",code="404"} 1',
    );
    expect(await node.stop()).toEqual({ code: 0, signal: null });
  });

  test('leaves with 0 when the admin port tells it to', async () => {
    const node = await startProcess(NODE);
    expect((await fetch(`http://${node.ready.admin}/api/v1/drain`, { method: 'POST' })).status).toBe(202);
    expect(await node.exit).toEqual({ code: 0, signal: null });
  });

  test('while it drains it is not ready, and a second signal ends it at once', async () => {
    const config = join(directory, 'held.yaml');
    writeFileSync(config, 'routes:\n  app.example.com: { holdTimeout: 5m }\n');
    const node = await startProcess([...NODE, '--config', config]);
    const [listen = ''] = node.ready.listen as string[];
    await eventually('the route is known', async () => (await stateOf(node.ready.admin)).routes.length === 1);
    const client = connect(Number(new URL(listen).port), '127.0.0.1').on('error', () => {});
    client.write('GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n');
    await eventually('the client is held', async () => (await stateOf(node.ready.admin)).routes[0]?.held === 1);
    node.kill('SIGTERM');
    await eventually('not ready', async () => (await fetch(`http://${node.ready.admin}/readyz`)).status === 503);
    node.kill('SIGTERM');
    expect(await node.exit).toEqual({ code: 143, signal: null });
    client.destroy();
  });

  test('serves on for its drain delay while it is not ready, and every response ends its connection', async () => {
    const node = await startProcess([...NODE, '--drain-delay', '2s']);
    const [listen = ''] = node.ready.listen as string[];
    const asked = () => fetch(listen, { headers: { connection: 'keep-alive' } });
    expect((await asked()).headers.get('connection')).not.toBe('close');
    const toldAt = performance.now();
    node.kill('SIGTERM');
    await eventually('not ready', async () => (await fetch(`http://${node.ready.admin}/readyz`)).status === 503, 1_000);
    const { status, headers } = await asked();
    expect([status, headers.get('connection')]).toEqual([404, 'close']);
    expect(await node.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - toldAt).toBeGreaterThan(1_900);
  });

  test('ends kept connections that are idle long before its drain delay is over', async () => {
    const node = await startProcess([...NODE, '--drain-delay', '1h']);
    const [listen = ''] = node.ready.listen as string[];
    const client = connect(Number(new URL(listen).port), '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: unknown.example.com\r\n\r\n');
    await once(client, 'data');
    const ended = once(client, 'end');
    node.kill('SIGTERM');
    await ended;
    client.destroy();
    node.kill('SIGKILL');
    await node.exit;
  });

  test('a second signal ends it within its drain delay, too', async () => {
    const node = await startProcess([...NODE, '--drain-delay', '1h']);
    node.kill('SIGTERM');
    await node.logged(({ msg, delayMs }) => msg === 'node draining' && delayMs === 3_600_000);
    node.kill('SIGTERM');
    expect(await node.exit).toEqual({ code: 143, signal: null });
  });

  test('an operator’s delay beats its own', async () => {
    const node = await startProcess([...NODE, '--drain-delay', '1h']);
    expect((await fetch(`http://${node.ready.admin}/api/v1/drain?delay=0s`, { method: 'POST' })).status).toBe(202);
    expect(await node.exit).toEqual({ code: 0, signal: null });
  });

  test('changes routes through the admin port, with the token only', async () => {
    const node = await startProcess([...NODE], { env: { PULLPROXY_ADMIN_TOKEN: 'secret' } });
    const put = (headers: Record<string, string>) =>
      fetch(`http://${node.ready.admin}/api/v1/routes/app.example.com`, {
        method: 'PUT',
        body: '{"holdTimeout":"100ms"}',
        headers: { 'content-type': 'application/json', ...headers },
      });
    expect((await put({})).status).toBe(401);
    expect((await put({ authorization: 'Bearer secret' })).status).toBe(200);
    const [listen = ''] = node.ready.listen as string[];
    await eventually('the route holds, then gives up', async () => (await statusOf(listen, 'app.example.com')) === 503);
    expect(node.text() + JSON.stringify(node.logs)).not.toContain('"secret"');
    await node.stop();
  });

  test('says that an address is in use, and what to do', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await runCommand([...NODE, '--admin', `127.0.0.1:${port}`]);
    taken.close();
    expect(code).toBe(1);
    expect(stderr.split('\n')).toEqual([
      `pullproxy node: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
      expect.stringMatching(/^ {2}Another process listens there\. Stop it, or choose another port/),
      '',
    ]);
  });
});

async function stateOf(admin: unknown): Promise<{ routes: { held: number }[] }> {
  return (await (await fetch(`http://${admin}/api/v1/state`)).json()) as { routes: { held: number }[] };
}
