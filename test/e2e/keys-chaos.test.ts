/** A thousand keys, of which a hundred are awake, while nodes are killed: never two instances for a key, never a request at a foreign one. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pino from 'pino';
import { keyedName } from '../../src/config/route-key.ts';
import { freePort } from '../../src/linker/free-port.ts';
import { Linker } from '../../src/linker/linker.ts';
import { ask } from '../support/clients.ts';
import { SECRET, setRoute } from '../support/cluster.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROUTE = 'notebooks.example.com';
const KEYS = 1_000;
const AWAKE_MAX = 100;
const CLIENTS = 24;
const KILLS = 3;
const KILL_EVERY_MS = 1_500;
/** In this time other keys are asked for. */
const TURN_MS = 10_000;
/** So many keys are asked for most of the time, other ones a moment later. */
const WARM = 60;

interface Place {
  readonly port: number;
  readonly backend: number;
  running: Running;
}

/** One instance, as its application sees itself. */
interface Seen {
  readonly key: string;
  hasServed: boolean;
}

let redis: RedisServer;
let starts: Server;
const places: Place[] = [];
const linkers = new Set<Linker>();
const exits: Promise<unknown>[] = [];
/** The instances of each key whose linkers have not ended. */
const living = new Map<string, Set<Seen>>();
const violations: string[] = [];
const served = new Set<string>();

async function startNode(id: string, port: number, backend: number): Promise<Running> {
  const ports = ['--listen', `http://127.0.0.1:${port}`, '--backend', `127.0.0.1:${backend}`, '--admin', '127.0.0.1:0'];
  return startProcess(['node', ...ports, '--id', id, '--redis', redis.url], { env: { PULLPROXY_SECRET: SECRET } });
}

async function startInstance(key: string, startId?: string): Promise<void> {
  const seen: Seen = { key, hasServed: false };
  const app = createServer((request, response) => {
    if (request.headers['x-user'] !== key) violations.push(`${request.headers['x-user']} is served by the instance of ${key}`);
    seen.hasServed = true;
    served.add(key);
    for (const other of living.get(key) ?? []) if (other !== seen && other.hasServed) violations.push(`${key} has two instances`);
    setTimeout(() => response.end(key), 5);
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const linker = new Linker({
    ...{
      proxies: places.map(({ backend }) => ({ host: '127.0.0.1', port: backend })),
      route: keyedName(ROUTE, key),
      startId,
      secret: SECRET,
    },
    ...{ concurrency: 2, app: { host: '127.0.0.1', port: (app.address() as AddressInfo).port }, env: {}, log: pino({ level: 'silent' }) },
    ...(startId === undefined ? {} : { startId }),
    ...{ idleTimeoutMs: 1_000, oldIdleTimeoutMs: 1_000, drainTimeoutMs: 2_000 },
  });
  const there = living.get(key) ?? new Set();
  living.set(key, there.add(seen));
  linkers.add(linker);
  const gone = linker.run().finally(() => {
    there.delete(seen);
    linkers.delete(linker);
    app.close();
    app.closeAllConnections();
  });
  exits.push(gone);
}

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, 'key=header:x-user', 'maxInstances=1', `maxKeys=${AWAKE_MAX}`, 'startTimeout=5s', 'holdTimeout=10s');
  starts = createServer((request, response) => {
    const said = new URL(request.url ?? '/', 'http://here').searchParams;
    const key = said.get('key') ?? '';
    // Now and then a scheduler starts one too many.
    if (Math.random() < 0.3) setTimeout(() => void startInstance(key), 100);
    void startInstance(key, said.get('start') ?? undefined).finally(() => response.end());
  }).listen(0, '127.0.0.1');
  await once(starts, 'listening');
  for (const id of ['a', 'b', 'c']) {
    const [port, backend] = [await freePort(), await freePort()];
    places.push({ port, backend, running: await startNode(id, port, backend) });
  }
  const url = `http://127.0.0.1:${(starts.address() as AddressInfo).port}/?key={key}&start={start_id}`;
  await startProcess(['scaler', '--redis', redis.url, '--rate', '500/1s', '--parallel', '16', '--', 'curl', '--silent', '--fail', url]);
}, 60_000);

afterAll(async () => {
  starts?.close();
  starts?.closeAllConnections();
  for (const linker of linkers) {
    linker.drain();
    linker.drain();
  }
  await Promise.all(exits);
  await redis?.stop();
}, 60_000);

/** A key, most often one of those that are warm now. */
function someKey(began: number): string {
  const from = Math.floor(((performance.now() - began) / TURN_MS) * KEYS);
  return `user${Math.random() < 0.8 ? (from + Math.floor(Math.random() * WARM)) % KEYS : Math.floor(Math.random() * KEYS)}`;
}

test('each request is served by the one instance of its key, or refused', async () => {
  const began = performance.now();
  const statuses = new Map<string, number>();
  const count = (what: string): void => void statuses.set(what, (statuses.get(what) ?? 0) + 1);
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const key = someKey(began);
      const { port } = places[Math.floor(Math.random() * places.length)] as Place;
      const answer = await ask(`http://127.0.0.1:${port}`, { host: ROUTE, headers: { 'X-User': key } }).catch(() => null);
      const why = /details=(\w+)/.exec(String(answer?.headers['proxy-status']))?.[1] ?? '';
      count(answer === null ? 'broken' : answer.status === 200 ? '200' : `${answer.status} ${why}`);
      if (answer?.status === 200 && answer.body !== key) violations.push(`${key} got the response of ${answer.body}`);
      if (answer?.status !== 200) await delay(20);
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));
  for (let kill = 0; kill < KILLS; kill++) {
    await delay(KILL_EVERY_MS);
    const place = places[kill % places.length] as Place;
    place.running.kill('SIGKILL');
    await place.running.exit;
    place.running = await startNode('abc'[kill % places.length] as string, place.port, place.backend);
  }
  await delay(KILL_EVERY_MS);
  isOver = true;
  await clients;
  expect(violations).toEqual([]);
  expect(statuses.get('200')).toBeGreaterThan(WARM / 2);
  expect(served.size).toBeGreaterThan(WARM / 2);
}, 60_000);
