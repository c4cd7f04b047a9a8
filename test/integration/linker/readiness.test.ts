/** When an application is ready beyond accepting, and an instance that stays after it has left. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, ROUTE, RunningLinker } from '../../support/harness/run-linker.ts';

const servers = new Set<Server>();

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  for (const server of servers) server.close().closeAllConnections();
  servers.clear();
});

/** What it was asked, as "path host", in order. */
async function application(answer: (response: ServerResponse, asked: number) => void) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.host}`);
    answer(response, asked.length);
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { asked, address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } };
}

describe('an application with a ready path', () => {
  test('is lent when it answers that with 2xx, and not before, though it accepts', async () => {
    let status = 503;
    const app = await application((response) => response.writeHead(status).end());
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, readyPath: '/healthz' });
    const instance = await node.instance();
    await eventually('it was asked several times', () => app.asked.length > 2);
    expect(running.said('ready')).toEqual([]);
    expect(instance.lastReport).toMatchObject({ state: 'starting' });
    status = 204;
    await instance.idle(4);
    expect(new Set(app.asked)).toEqual(new Set([`GET /healthz ${ROUTE}`]));
  });

  test.each<[string, (response: ServerResponse) => void]>([
    ['redirects', (response) => response.writeHead(302, { location: '/' }).end()],
    ['breaks off', (response) => response.socket?.destroy()],
    ['speaks no HTTP', (response) => response.socket?.end('SSH-2.0-OpenSSH\r\n')],
  ])('is not ready while it %s', async (_what, answer) => {
    let ready = false;
    const app = await application((response) => (ready ? response.end() : answer(response)));
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, readyPath: '/' });
    await eventually('it was asked several times', () => app.asked.length > 2);
    expect(running.said('ready')).toEqual([]);
    ready = true;
    await running.linker.ready;
  });

  test('is asked for a host that is one, where its route is a wildcard', async () => {
    const app = await application((response) => response.end());
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, readyPath: '/up', route: '*.example.com' });
    await running.linker.ready;
    expect(app.asked[0]).toBe('GET /up example.com');
  });
});

describe('an instance that is to linger', () => {
  const retired = async (lingerMs: number): Promise<RunningLinker> => {
    const app = await application((response) => response.end());
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, idleTimeoutMs: 20, lingerMs });
    const instance = await node.instance();
    await instance.idle(4);
    await eventually('it asks to retire', () => instance.asked.includes('retire'));
    instance.link.answerRetire(true);
    await instance.down();
    return running;
  };

  test('stays when it has left, until it is told to end', async () => {
    const running = await retired(60_000);
    await eventually('it says so', () => running.said('linker retired: it stays until it is told to end').length === 1);
    expect(running.code).toBeNull();
    running.linker.drain();
    expect(await running.exit).toBe(0);
  });

  test('ends by itself when its time is up', async () => {
    const running = await retired(50);
    expect(await running.exit).toBe(0);
    expect(running.said('linker retired: it stays until it is told to end')).toHaveLength(1);
  });
});
