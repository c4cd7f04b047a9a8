/** The cluster of a run: nodes, scalers and what their startup commands start, on one Redis, each of them recorded. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/linker/free-port.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { type RedisGroup, startSentinels } from '../../support/redis-processes.ts';
import { TcpPath } from '../../support/tcp-path.ts';
import { setWallClock, wallClockEnv } from '../../support/wall-clock.ts';
import type { HistoryFile } from '../recorder/history-file.ts';
import { hasOwnNetwork } from './own-network.ts';
import { type RouteSpec, servedNames, settingsOf } from './routes.ts';

const PRELOAD = fileURLToPath(new URL('../recorder/preload.ts', import.meta.url));
const START_LINKER = fileURLToPath(new URL('../apps/start-linker.ts', import.meta.url));
const APP = fileURLToPath(new URL('../apps/recorded-app.ts', import.meta.url));

export const CONCURRENCY = 4;
/** Limits that an application takes, one after the other, each time that it is told to. */
const LIMITS = [2, 5, 1, 4];

export interface WorldOptions {
  /** Where histories go to. */
  readonly history: string;
  readonly operator: HistoryFile;
  readonly routes: readonly RouteSpec[];
  readonly nodes: number;
  readonly scalers: number;
  /** The code that runs. */
  readonly source: string;
  /** Redis is a master with a replica and Sentinels. */
  readonly sentinels: boolean;
}

export interface NodePlace {
  readonly id: string;
  readonly port: number;
  readonly backendPort: number;
  /** The ways that others take to it, and that it takes to Redis. */
  readonly backend: TcpPath;
  readonly redis: TcpPath;
  child: ChildProcess | null;
}

/** A linker and its application, as the files of their histories name them. */
export interface Instance {
  readonly startId: string;
  readonly linker: number;
  readonly app: number | null;
}

export class World {
  readonly nodes: NodePlace[] = [];
  readonly scalers: (ChildProcess | null)[] = [];
  /** Processes that ended and were not told to. */
  readonly endedUnasked: string[] = [];
  /** Warnings and errors that processes logged, by text. */
  readonly said = new Map<string, number>();
  /** Null: there are Sentinels. */
  redis: RedisServer | null = null;
  group: RedisGroup | null = null;
  /** The way of the scalers to Redis. */
  scalerRedis!: TcpPath;
  readonly options: WorldOptions;
  readonly #directory = realpathSync(mkdtempSync(join(tmpdir(), 'pullproxy-history-')));
  readonly #toEnd = new WeakSet<ChildProcess>();
  readonly #main: string;
  readonly #secretFile: string;
  #isEnding = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.#main = join(options.source, 'cli/main.ts');
    this.#secretFile = join(this.#directory, 'secret');
  }

  async start(): Promise<void> {
    this.keepSecrets('first-secret-of-this-history');
    if (this.options.sentinels) this.group = await startSentinels();
    else this.redis = await startRedis({ isLocal: hasOwnNetwork(), env: this.#clock('redis', 'the memory of libc') });
    const redisPort = this.redis?.port ?? 0;
    this.scalerRedis = await TcpPath.open(redisPort);
    for (let i = 0; i < this.options.nodes; i++) {
      const [port, backendPort] = [await freePort(), await freePort()];
      const [backend, redis] = [await TcpPath.open(backendPort), await TcpPath.open(redisPort)];
      this.nodes.push({ id: `n${i}`, port, backendPort, backend, redis, child: null });
    }
    await this.configure();
    await Promise.all(this.nodes.map((node) => this.startNode(node)));
    for (let i = 0; i < this.options.scalers; i++) await this.startScaler(i);
  }

  /** A Redis that lost its routes is told them again, as an operator's deployment would. */
  async configure(): Promise<void> {
    await Promise.all(this.options.routes.map((route) => this.configureRoute(route, route.maxInstances)));
  }

  async configureRoute(route: RouteSpec, maxInstances: number): Promise<void> {
    const settings = Object.entries(settingsOf(route, maxInstances)).map(([key, value]) => `${key}=${value}`);
    for (const name of servedNames(route))
      this.options.operator.add({ e: 'route', route: name, maxInstances, concurrency: CONCURRENCY, fair: route.fair });
    await this.command(['route', 'set', route.name, ...settings, '--redis', this.redisUrl]);
  }

  /** As commands take it, which go no way that is disturbed. */
  get redisUrl(): string {
    return this.group?.url ?? this.redis?.url ?? '';
  }

  #redisBy(way: TcpPath): string {
    return this.group?.url ?? `redis://${way.address}`;
  }

  /** From now on the wall clock of `redis`, or of a node, is wrong by so much. */
  setClock(name: string, seconds: number): void {
    setWallClock(join(this.#directory, `clock-${name}`), seconds);
  }

  #clock(name: string, memory: 'its own memory' | 'the memory of libc'): Record<string, string> {
    this.setClock(name, 0);
    return wallClockEnv(join(this.#directory, `clock-${name}`), memory) ?? {};
  }

  keepSecrets(...secrets: readonly string[]): void {
    writeFileSync(this.#secretFile, `${secrets.join('\n')}\n`, { mode: 0o600 });
  }

  async startNode(node: NodePlace): Promise<void> {
    const own = ['--id', node.id, '--listen', `http://127.0.0.1:${node.port}`, '--backend', `127.0.0.1:${node.backendPort}`];
    const ways = ['--advertise', node.backend.address, '--redis', this.#redisBy(node.redis), '--admin', '127.0.0.1:0'];
    const rest = ['--access-log', '/dev/null', '--drain-timeout', '10s', '--secret-file', this.#secretFile];
    node.child = await this.#serve(['node', ...own, ...ways, ...rest], this.#clock(node.id, 'its own memory'));
  }

  async startScaler(i: number): Promise<void> {
    const env = {
      HISTORY_DIR: this.options.history,
      HISTORY_SRC: this.options.source,
      HISTORY_LIMITS: LIMITS.join(),
      LIMIT: String(CONCURRENCY),
    };
    const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
    const times = ['--idle-timeout', '20s', '--old-idle-timeout', '4s', '--drain-timeout', '10s', '--stop-timeout', '2s'];
    const proxies = this.nodes.flatMap(({ backend }) => ['--proxy', backend.address]);
    const linker = ['linker', ...proxies, '--route', '{route}', '--concurrency', String(CONCURRENCY), ...times];
    const secret = ['--secret-file', this.#secretFile];
    const command = [process.execPath, START_LINKER, '--import', PRELOAD, this.#main, ...linker, ...secret, '--', process.execPath, APP];
    const args = ['scaler', '--redis', this.#redisBy(this.scalerRedis), '--rate', '50/1s', ...given, '--', ...command];
    this.scalers[i] = await this.#serve(args, env);
  }

  /** Ends it by a signal; resolves when it has. */
  async end(child: ChildProcess, name: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#toEnd.add(child);
    const ended = once(child, 'exit');
    child.kill(name);
    const [code] = (await ended) as [number | null];
    if (name === 'SIGTERM' && code !== 0) this.endedUnasked.push(`after SIGTERM a process ended with ${String(code)}`);
  }

  /** Those that live now, the one that was started first first. */
  instances(): Instance[] {
    const apps = new Map<string, number>();
    const linkers: { startId: string; linker: number }[] = [];
    for (const name of readdirSync(this.options.history)) {
      const [, role, startId = '', pid] = /^(linker|app)-(\w+)-(\d+)\.0\.jsonl/.exec(name) ?? [];
      if (role === undefined || !this.#lives(Number(pid))) continue;
      if (role === 'app') apps.set(startId, Number(pid));
      else linkers.push({ startId, linker: Number(pid) });
    }
    return linkers
      .map(({ startId, linker }) => ({ startId, linker, app: apps.get(startId) ?? null }))
      .sort((a, b) => (a.startId < b.startId ? -1 : 1));
  }

  /** Whether it serves the route, as its command line says. */
  serves({ linker }: Instance, route: string): boolean {
    try {
      const words = readFileSync(`/proc/${linker}/cmdline`, 'utf8').split('\0');
      return words[words.indexOf('--route') + 1] === route;
    } catch {
      return false;
    }
  }

  /** Only what is ours: numbers of processes are used again. */
  signal(pid: number | null, name: NodeJS.Signals): void {
    if (pid !== null && this.#lives(pid)) process.kill(pid, name);
  }

  /** One command of pullproxy. */
  async command(args: readonly string[]): Promise<number | null> {
    const child = spawn(process.execPath, [this.#main, ...args], { stdio: 'ignore', cwd: this.#directory });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  async redisCommand(...words: readonly string[]): Promise<void> {
    const socket = connect(this.redis?.port ?? 0, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`${words.join(' ')}\r\n`);
    await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => {});
    socket.destroy();
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    for (const { child } of this.nodes) child?.kill('SIGCONT');
    for (const child of [...this.nodes.map((node) => node.child), ...this.scalers]) child?.kill('SIGKILL');
    for (const { linker, app } of this.instances()) {
      this.signal(linker, 'SIGKILL');
      this.signal(app, 'SIGKILL');
    }
    await this.redis?.stop();
    await this.group?.stop();
    for (const path of [this.scalerRedis, ...this.nodes.flatMap(({ backend, redis }) => [backend, redis])]) path?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #lives(pid: number): boolean {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === this.#directory;
    } catch {
      return false;
    }
  }

  /** Resolves when it is ready, or has ended before. */
  #serve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['--import', PRELOAD, this.#main, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: this.#directory,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, HISTORY_DIR: this.options.history, HISTORY_SRC: this.options.source, ...env },
    });
    return new Promise((resolve) => {
      child.once('exit', (code, name) => {
        if (!this.#isEnding && !this.#toEnd.has(child)) this.endedUnasked.push(`${args[0]} ended by itself: ${code ?? name}`);
        resolve(child);
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { msg, level } = JSON.parse(line) as { msg: string; level: number };
        if (msg === 'ready') resolve(child);
        if (level >= 40 && !this.#isEnding) this.said.set(msg, (this.said.get(msg) ?? 0) + 1);
      });
    });
  }
}
