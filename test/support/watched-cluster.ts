/** A cluster in which everything happens that metrics tell: it serves, holds, moves slots, starts instances and fails to. */
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificate } from './certificate.ts';
import { ask } from './clients.ts';
import { type ClusterNode, Ledger, SECRET, setRoute, startNode } from './cluster.ts';
import { eventually } from './eventually.ts';
import { type Running, startProcess } from './processes.ts';
import { MAIN } from './program-path.ts';
import { type RedisServer, startRedis } from './redis.ts';

const APP = new URL('apps/counting-app.mjs', import.meta.url).pathname;

export interface WatchedCluster {
  readonly redis: RedisServer;
  readonly nodes: readonly [ClusterNode, ClusterNode];
  /** HOST:PORT of the admin ports of both nodes and of the scaler. */
  readonly admins: readonly string[];
  readonly scaler: Running;
  /** Another one instead of it, at the same address. */
  startScaler(): Promise<Running>;
  stop(): Promise<void>;
}

/** Its routes: `app.example.com` works, the command of `bad.example.com` fails, nothing of `slow.example.com` links, and it is paused at the end. `agent.example.com` has an agent. */
export async function startWatchedCluster(): Promise<WatchedCluster> {
  const ledger = new Ledger();
  const redis = await startRedis();
  await setRoute(redis.url, 'app.example.com', 'holdTimeout=60s', 'maxInstances=1', 'affinity=client', 'affinityWait=0s');
  await setRoute(redis.url, 'bad.example.com', 'holdTimeout=1s', 'maxInstances=1');
  await setRoute(redis.url, 'slow.example.com', 'holdTimeout=500ms', 'startTimeout=200ms', 'maxInstances=1');
  // Nobody has asked for these yet: one fails, the other one sleeps soon.
  await setRoute(redis.url, 'bad-again.example.com', 'holdTimeout=1s', 'maxInstances=1');
  await setRoute(redis.url, 'agent.example.com', 'holdTimeout=60s', 'maxInstances=1');
  await setRoute(redis.url, 'napping.example.com', 'holdTimeout=60s', 'maxInstances=1');
  const certificate = makeCertificate('app.example.com');
  const tls = ['--listen', 'https://127.0.0.1:0', '--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile];
  const [first, second] = await Promise.all(
    (['a', 'b'] as const).map((id) => startNode(redis.url, ['--id', id, '--access-log', '/dev/null', ...tls])),
  );
  if (first === undefined || second === undefined) throw new Error('no nodes');
  // Runs the linker for one route, in the background, and fails for another.
  const command = `case {route} in
      bad*) exit 7 ;;
      slow*|agent*) exit 0 ;;
      napping*) idle='--idle-timeout 2s' ;;
    esac
    PULLPROXY_START_ID=$START_ID nohup ${process.execPath} ${MAIN} linker --proxy ${first.backend} --proxy ${second.backend} --route {route} \\
      --concurrency 1 $idle -- ${process.execPath} ${APP} > /dev/null 2>&1 &`;
  const env = { PULLPROXY_SECRET: SECRET, ...ledger.env(10) };
  const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
  const startScaler = (admin: string): Promise<Running> =>
    startProcess(['scaler', '--redis', redis.url, '--admin', admin, ...given, '--', 'sh', '-c', command], { env });
  const scaler = await startScaler('127.0.0.1:0');
  const admin = String(scaler.ready.admin);

  await answers(first, 'app.example.com', 200);
  // It has one slot: it has to move.
  for (const node of [second, first, second]) await answers(node, 'app.example.com', 200);
  await crowd(first, 'app.example.com');
  await answers(first, 'bad.example.com', 503);
  await answers(first, 'slow.example.com', 503);
  await comeLate(first, env);
  await startByAgent(first, env);
  await answers(first, 'app.example.com', 502, '/break');
  await leaveWhileHeld(first, 'app.example.com');
  await changes(first, 'routes/slow.example.com/pause?for=10m&wait=30s', 200);
  writeFileSync(certificate.keyFile, 'no key');
  await changes(first, 'reload', 422);
  return {
    redis,
    nodes: [first, second],
    admins: [first.admin, second.admin, admin].map((address) => address.replace('http://', '')),
    scaler,
    startScaler: () => startScaler(admin),
    async stop() {
      await redis.stop();
      certificate.remove();
      ledger.remove();
    },
  };
}

async function answers(node: ClusterNode, host: string, status: number, path = '/'): Promise<void> {
  const answer = await ask(node.url, { host, path });
  if (answer.status !== status) throw new Error(`${host}${path}: ${answer.status} and not ${status}: ${answer.body}`);
}

/** Clients wait for so long that it is worth while to estimate it. */
async function crowd(node: ClusterNode, host: string): Promise<void> {
  const isEstimated = async (): Promise<boolean> =>
    (await (await fetch(`${node.admin}/metrics`)).text()).includes('pullproxy_hold_estimate_seconds_count{');
  let isDone = false;
  const client = async (): Promise<void> => {
    while (!isDone) await answers(node, host, 200, '/slow?ms=50');
  };
  const watch = eventually('waits are estimated', isEstimated, 60_000).finally(() => {
    isDone = true;
  });
  await Promise.all([watch, ...Array.from({ length: 8 }, client)]);
}

/** From then on it is told whether the route is overloaded. */
async function leaveWhileHeld(node: ClusterNode, host: string): Promise<void> {
  const served = answers(node, host, 200, '/slow?ms=2000');
  await eventually('a client has left', async () => {
    const leaves = request(node.url, { headers: { host } }).on('error', () => {});
    leaves.end();
    await delay(50);
    leaves.destroy();
    return (await (await fetch(`${node.admin}/metrics`)).text()).includes('pullproxy_overload_wait_seconds{');
  });
  await served;
}

async function changes(node: ClusterNode, call: string, status: number): Promise<void> {
  const response = await fetch(`${node.admin}/api/v1/${call}`, { method: 'POST' });
  if (response.status !== status) throw new Error(`${call}: ${response.status} and not ${status}: ${await response.text()}`);
}

async function startByAgent(node: ClusterNode, env: Readonly<Record<string, string>>): Promise<void> {
  const linker = ['linker', '--proxy', node.backend, '--route', 'agent.example.com', '--concurrency', '1', '--instances', '0-1'];
  const agent = await startProcess([...linker, '--', process.execPath, APP], { env });
  await eventually('the node knows the agent', () =>
    node.logs.some(({ msg, agent: id }) => msg === 'agent linked' && id === agent.ready.agent),
  );
  await answers(node, 'agent.example.com', 200);
}

/** An instance that nobody expects any more: it is turned away, and ends. */
async function comeLate(node: ClusterNode, env: Readonly<Record<string, string>>): Promise<void> {
  const args = ['linker', '--proxy', node.backend, '--route', 'app.example.com', '--concurrency', '1', '--', process.execPath, APP];
  const started = startProcess(args, { env: { ...env, PULLPROXY_START_ID: 'late' } });
  await started.then(
    ({ exit }) => exit,
    () => undefined,
  );
}
