/** Nodes that never reached Redis, and nodes that are told to leave by `pullproxy drain`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, setRoute, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { runCommand, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
const nodes: ClusterNode[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});
afterAll(() => redis.stop());

async function start(url: string, ...args: string[]): Promise<ClusterNode> {
  const node = await startNode(url, args);
  nodes.push(node);
  return node;
}

async function readiness(node: ClusterNode): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${node.admin}/readyz`);
  return { status: response.status, body: await response.json() };
}

describe('a node that has never reached Redis', () => {
  test('is not ready, and says 503 with Retry-After to every name, never 404, until Redis answers', async () => {
    await setRoute(redis.url, 'app.example.com', 'holdTimeout=100ms');
    await redis.kill();
    const node = await start(redis.url);
    expect(await readiness(node)).toEqual({ status: 503, body: expect.objectContaining({ joined: false, draining: false }) });
    for (const host of ['app.example.com', 'unknown.example.com']) {
      const { status, headers } = await ask(node.url, { host });
      expect([host, status, headers['retry-after'], headers['proxy-status']]).toEqual([
        host,
        503,
        '1',
        expect.stringContaining('details=directory_away'),
      ]);
    }
    await redis.restart();
    await eventually('ready', async () => (await readiness(node)).status === 200);
    expect((await ask(node.url, { host: 'unknown.example.com' })).status).toBe(404);
  });

  test('with several workers is not ready either', async () => {
    const node = await start(`redis://127.0.0.1:${await freePort()}`, '--workers', '2');
    expect(await readiness(node)).toEqual({ status: 503, body: expect.objectContaining({ joined: false }) });
  });

  test('as a scaler is not ready either', async () => {
    const admin = `127.0.0.1:${await freePort()}`;
    const args = ['scaler', '--redis', `redis://127.0.0.1:${await freePort()}`, '--admin', admin, '--', 'true'];
    const scaler = startProcess(args).catch(() => null);
    await eventually('it answers', async () => (await fetch(`http://${admin}/readyz`)).status === 503);
    const { pid } = (await (await fetch(`http://${admin}/api/v1/drain`, { method: 'POST' })).json()) as { pid?: number };
    expect(pid).toBeUndefined();
    await scaler;
  });
});

test('a node that has lost Redis stays ready, and says 503 to names that it does not know', async () => {
  const node = await start(redis.url);
  await eventually('ready', async () => (await readiness(node)).status === 200);
  await redis.kill();
  await eventually('Redis is lost', async () => (await ask(node.url, { host: 'unknown.example.com' })).status === 503);
  expect(await readiness(node)).toEqual({ status: 200, body: expect.objectContaining({ joined: true }) });
  await redis.restart();
});

describe('pullproxy drain', () => {
  const drain = (...args: string[]) => runCommand(['drain', ...args, '--redis', redis.url]);

  test('makes a node leave: unready and still serving for the delay', async () => {
    const node = await start(redis.url, '--id', 'a');
    expect(await drain('a', '--delay', '2s')).toMatchObject({ code: 0, stdout: '', stderr: '' });
    await eventually('unready', async () => (await readiness(node)).status === 503, 1_000);
    expect((await ask(node.url, { host: 'unknown.example.com' })).headers.connection).toBe('close');
    expect(await node.exit).toEqual({ code: 0, signal: null });
    expect(node.logs).toContainEqual(expect.objectContaining({ msg: 'node draining', delayMs: 2_000 }));
  });

  test('without a delay takes the node’s own', async () => {
    const node = await start(redis.url, '--id', 'b', '--drain-delay', '300ms');
    expect((await drain('b')).code).toBe(0);
    await node.exit;
    expect(node.logs).toContainEqual(expect.objectContaining({ msg: 'node draining', delayMs: 300 }));
  });

  test('says that no such node listens, and what a name is', async () => {
    expect(await drain('nobody')).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no node nobody') });
    expect((await drain('no body')).code).toBe(2);
    expect((await drain()).code).toBe(2);
    expect((await drain('a', '--delay', '-1s')).code).toBe(2);
  });

  test('several workers serve on for the delay, too', async () => {
    const node = await start(redis.url, '--workers', '2', '--drain-delay', '2s');
    await eventually('ready', async () => (await readiness(node)).status === 200);
    node.kill('SIGTERM');
    await eventually('unready', async () => (await readiness(node)).status === 503, 1_000);
    const { status, headers } = await ask(node.url, { host: 'unknown.example.com' });
    expect([status, headers.connection]).toEqual([404, 'close']);
    expect(await node.exit).toEqual({ code: 0, signal: null });
  });
});
