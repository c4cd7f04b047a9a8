/**
 * Several Redis servers that belong together: a Redis Cluster, or a master with its replica and Sentinels. They are processes of this
 * machine's redis-server, since each must be reached by the others under the address that clients use.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/linker/free-port.ts';
import { eventually } from './eventually.ts';
import { setWallClock, wallClockEnv } from './wall-clock.ts';

const HASH_SLOTS = 16_384;
export const MASTER_NAME = 'the-master';

export class RedisProcess {
  readonly port: number;
  readonly client: Redis;
  readonly #child: ChildProcess;

  constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    this.client = new Redis({ port, host: '127.0.0.1', lazyConnect: true });
    this.client.on('error', () => {});
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name);
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

export interface RedisGroup {
  /** As pullproxy takes it. */
  readonly url: string;
  /** Masters of the Cluster; or master and replica, in this order, as it was at first. */
  readonly servers: readonly RedisProcess[];
  readonly sentinels: readonly RedisProcess[];
  stop(): Promise<void>;
}

/** A Redis Cluster of so many masters. */
export async function startRedisCluster(masters = 3): Promise<RedisGroup> {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-test-redis-'));
  const servers: RedisProcess[] = [];
  const buses: number[] = [];
  for (let i = 0; i < masters; i++) {
    // By itself it takes 10,000 more than its port, which is where outgoing connections have theirs.
    const bus = await freePort();
    buses.push(bus);
    servers.push(
      await start(directory, ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-config-file', `nodes-${i}.conf`]),
    );
  }
  const [first] = servers;
  const share = Math.ceil(HASH_SLOTS / masters);
  for (const [i, { client, port }] of servers.entries()) {
    await client.call('CLUSTER', 'ADDSLOTSRANGE', i * share, Math.min(HASH_SLOTS, (i + 1) * share) - 1);
    if (i > 0) await first?.client.call('CLUSTER', 'MEET', '127.0.0.1', port, buses[i] as number);
  }
  await eventually(
    'all masters know all hash slots',
    async () => {
      const infos = await Promise.all(servers.map(({ client }) => client.call('CLUSTER', 'INFO')));
      return infos.every((info) => String(info).includes('cluster_state:ok') && String(info).includes(`cluster_known_nodes:${masters}`));
    },
    30_000,
  );
  return group(directory, servers, [], servers.map(({ port }) => `redis://127.0.0.1:${port}`).join(','));
}

/** A master, its replica and three Sentinels, which agree within about a second that the master is down. */
export async function startSentinels(): Promise<RedisGroup> {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-test-redis-'));
  const master = await start(directory, []);
  const replica = await start(directory, ['--replicaof', '127.0.0.1', String(master.port), '--repl-diskless-sync-delay', '0']);
  await eventually(
    'the replica follows',
    async () => String(await replica.client.info('replication')).includes('master_link_status:up'),
    30_000,
  );
  const sentinels: RedisProcess[] = [];
  for (let i = 0; i < 3; i++) {
    const port = await freePort();
    const config = join(directory, `sentinel-${i}.conf`);
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${directory}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 2`,
      `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
      `sentinel failover-timeout ${MASTER_NAME} 5000`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    sentinels.push(await launch(port, [config, '--sentinel']));
  }
  const [one] = sentinels;
  await eventually(
    'the Sentinels know each other and the replica',
    async () => {
      const known = (await one?.client.call('SENTINEL', 'MASTER', MASTER_NAME)) as string[] | Record<string, string>;
      const text = JSON.stringify(known);
      return /"num-other-sentinels"[,:]"2"/.test(text) && /"num-slaves"[,:]"1"/.test(text);
    },
    30_000,
  );
  const url = `redis-sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER_NAME}`;
  return group(directory, [master, replica], sentinels, url);
}

function group(directory: string, servers: readonly RedisProcess[], sentinels: readonly RedisProcess[], url: string): RedisGroup {
  return {
    url,
    servers,
    sentinels,
    async stop() {
      await Promise.all([...servers, ...sentinels].map((server) => server.stop()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A server whose clock can be set. */
export interface SkewedRedis {
  readonly url: string;
  readonly client: Redis;
  /** From now on the server's clock is wrong by so much; its monotonic clock goes on. */
  setClock(seconds: number): void;
  stop(): Promise<void>;
}

export async function startSkewedRedis(): Promise<SkewedRedis> {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-redis-clock-'));
  const file = join(directory, 'clock');
  const setClock = (seconds: number): void => setWallClock(file, seconds);
  setClock(0);
  const clock = wallClockEnv(file, 'the memory of libc');
  if (clock === null) throw new Error("the tests of Redis' clock need libfaketime (Debian: apt-get install faketime)");
  const server = await start(directory, [], clock);
  return {
    url: `redis://127.0.0.1:${server.port}`,
    client: server.client,
    setClock,
    async stop() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function start(directory: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RedisProcess> {
  const port = await freePort();
  const plain = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  return launch(port, [...plain, '--enable-debug-command', 'yes', ...args], env);
}

async function launch(port: number, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RedisProcess> {
  const child = spawn('redis-server', args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } });
  child.once('error', (error) => {
    throw new Error(`the tests of Redis Cluster and Sentinel need redis-server (Debian: apt-get install redis-server): ${error.message}`);
  });
  const server = new RedisProcess(port, child);
  await eventually('the server answers', async () => (await server.client.ping()) === 'PONG', 30_000);
  return server;
}
