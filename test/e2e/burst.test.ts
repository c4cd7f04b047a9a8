/** Ten thousand clients at once for an application that does not run. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { type ClusterNode, Ledger, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROUTE = 'burst.example.com';
const CLIENTS = 10_000;
const INSTANCES_MAX = 3;
const CONCURRENCY = 50;
/** Connections that are being made at the same time: the kernel's queue is shorter than the crowd. */
const CONNECTING_MAX = 200;

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();
/** Ten thousand clients beside a load of 30. */
const PATIENCE_MS = 240_000;

const sockets: Socket[] = [];

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, `maxInstances=${INSTANCES_MAX}`, 'maxHeld=20000', 'holdTimeout=5m');
  nodes = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await redis?.stop();
  ledger.remove();
});

test(
  '10,000 held clients start what is needed and no more, one job at a time, and all are answered',
  async () => {
    const answers = await comeAll();
    await eventually('all are held', async () => (await held()) === CLIENTS, 30_000);

    const linker = { proxies: nodes.map(({ backend }) => backend), concurrency: CONCURRENCY, app: COUNTING_APP };
    await Promise.all([1, 2].map(() => startScaler(redis.url, linker, ledger, ['--rate', '50/1s', '--parallel', '4'])));
    let answered = 0;
    const all = Promise.all(answers.map((answer) => answer.then(() => answered++)));
    let activeJobsMost = 0;
    while (answered < CLIENTS) {
      activeJobsMost = Math.max(activeJobsMost, await activeJobs());
      await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    expect(await Promise.all(answers)).toEqual(new Array(CLIENTS).fill('200'));
    expect(ledger.lines(ledger.commands)).toHaveLength(INSTANCES_MAX);
    expect(ledger.lines(ledger.starts)).toHaveLength(INSTANCES_MAX);
    expect(activeJobsMost).toBeLessThanOrEqual(1);
    expect(ledger.lines(ledger.violations)).toEqual([]);
  },
  PATIENCE_MS,
);

/** Resolves when all are connected and have asked, with their answers' statuses. */
async function comeAll(): Promise<Promise<string>[]> {
  const answers: Promise<string>[] = [];
  const ports = nodes.map(({ url }) => Number(new URL(url).port));
  const come = async (): Promise<void> => {
    while (sockets.length < CLIENTS) {
      const socket = connect(ports[sockets.length % ports.length] as number, '127.0.0.1');
      sockets.push(socket);
      answers.push(statusOf(socket));
      await once(socket, 'connect');
      socket.write(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\nConnection: close\r\n\r\n`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, come));
  return answers;
}

function statusOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('data', (head: Buffer) => {
      resolve(head.toString('latin1', 9, 12));
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('close', () => resolve('closed'));
  });
}

async function held(): Promise<number> {
  return (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === ROUTE)?.held ?? 0;
}

async function activeJobs(): Promise<number> {
  const { jobs } = (await (await fetch(`${(nodes[0] as ClusterNode).admin}/api/v1/jobs`)).json()) as { jobs: { state: string }[] };
  return jobs.filter(({ state: is }) => is === 'active').length;
}
