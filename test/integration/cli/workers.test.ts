/** `node --workers`: several processes behind the same ports, as a user runs them. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../../support/apps/apps.ts';
import { crowd, statuses } from '../../support/clients.ts';
import { type ClusterNode, Ledger, metric, setRoute, startLinker, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { PacedLoad } from '../../support/paced-load.ts';
import type { Running } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const ROUTE = 'workers.example.com';
const WORKERS = 2;

let redis: RedisServer;
let node: ClusterNode;
let linkers: Running[];
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE);
  node = await startNode(redis.url, ['--workers', String(WORKERS), '--id', 'm']);
  const linker = { proxies: [node.backend], route: ROUTE, concurrency: 4, app: COUNTING_APP };
  linkers = await Promise.all([1, 2].map(() => startLinker(linker, ledger.env(4))));
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
});

/** Processes of the workers, by what they logged. */
function workerPids(): number[] {
  const alive = node.logs.filter(({ msg }) => msg === 'worker ready').map(({ pid }) => Number(pid));
  return alive.filter((pid) => isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function answered(count: number): Promise<Record<string, number>> {
  return statuses(await crowd(count, () => node.url, { host: ROUTE, path: '/slow?ms=5' }));
}

describe('several workers', () => {
  test('are nodes of their own in the directory, each at an address of its own', async () => {
    const { nodes } = await state(node);
    expect(nodes.map(({ id }) => id)).toEqual(['m.1', 'm.2']);
    const advertised = node.logs.filter(({ msg }) => msg === 'worker ready').map(({ advertise }) => advertise);
    expect(new Set([...advertised, node.backend]).size).toBe(WORKERS + 1);
    expect(node.ready).toMatchObject({ id: 'm', workers: WORKERS });
  });

  test('serve the clients of one port with the linkers of one port, whichever has them', async () => {
    expect(await answered(300)).toEqual({ 200: 300 });
    expect(ledger.lines(ledger.violations)).toEqual([]);
  });

  test('count together', async () => {
    const before = await metric(node, 'pullproxy_requests_total', { route: ROUTE });
    expect(await answered(50)).toEqual({ 200: 50 });
    expect(await metric(node, 'pullproxy_requests_total', { route: ROUTE })).toBe(before + 50);
    expect(await metric(node, 'pullproxy_redis_connected')).toBe(1);
    expect((await fetch(`${node.admin}/readyz`)).status).toBe(200);
  });

  test('are replaced when they die, and what they had counted stays counted', async () => {
    const before = await metric(node, 'pullproxy_requests_total', { route: ROUTE });
    const [victim] = workerPids();
    process.kill(victim as number, 'SIGKILL');
    await node.logged(({ msg }) => msg === 'a worker has died: another one takes its place');
    await eventually('two serve again', () => workerPids().length === WORKERS, 20_000);
    await eventually('all is served again', async () => (await answered(20))[200] === 20, 20_000);
    expect(await metric(node, 'pullproxy_requests_total', { route: ROUTE })).toBeGreaterThanOrEqual(before + 20);
  });

  test('are restarted one by one on SIGUSR2, and nobody notices', async () => {
    const before = workerPids();
    const load = new PacedLoad({ targets: [{ port: Number(new URL(node.url).port) }], host: ROUTE, perSecond: 100 });
    node.kill('SIGUSR2');
    await node.logged(({ msg }) => msg === 'all workers were restarted', 60_000);
    const { failures, lost, answered: served, sent } = await load.stop();
    expect(failures).toEqual([]);
    expect([lost, served]).toEqual([0, sent]);
    expect(workerPids().filter((pid) => before.includes(pid))).toEqual([]);
    expect(ledger.lines(ledger.violations)).toEqual([]);
  });

  test('leave with their supervisor, and leave nothing behind', async () => {
    const other = await startNode(redis.url, ['--id', 'other']);
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    expect(workerPids()).toEqual([]);
    expect((await state(other)).nodes.map(({ id }) => id)).toEqual(['other']);
    await other.stop();
    for (const linker of linkers) linker.kill('SIGKILL');
  });
});

test('workers whose supervisor was killed leave by themselves', async () => {
  node = await startNode(redis.url, ['--workers', '2']);
  const pids = workerPids();
  expect(pids).toHaveLength(2);
  node.kill('SIGKILL');
  await eventually('they are gone', () => !pids.some(isAlive), 20_000);
});
