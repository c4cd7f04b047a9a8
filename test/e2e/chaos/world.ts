/** The cluster under attack: nodes, scalers and what their startup commands start, on one Redis. All of it can be hurt from here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free-port.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { TcpPath } from '../../support/tcp-path.ts';
import type { FaultName } from './fault-names.ts';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
const START_LINKER = fileURLToPath(new URL('../../support/apps/start-linker.mjs', import.meta.url));
const APP = fileURLToPath(new URL('../../support/apps/counting-app.mjs', import.meta.url));
const SECRET = 'a secret for chaos';

export const ROUTE = 'chaos.test';
export const CONCURRENCY = 4;
export const INSTANCES_MAX = 6;

/** A span of time (performance.now() in ms) in which something was broken on purpose. */
export interface Fault {
  readonly what: FaultName;
  /** The node that it hit; null: none. */
  readonly node: number | null;
  readonly from: number;
  /** It struck until then; what it brought down may come back later. Infinity while it lasts. */
  until: number;
  /** All is as before. Infinity until then. */
  over: number;
}

export interface NodeSlot {
  readonly id: string;
  readonly listen: number;
  readonly backendPort: number;
  /** The way to its backend port, for linkers and other nodes. */
  readonly backend: TcpPath;
  readonly admin: number;
  child: ChildProcess | null;
}

export interface LinkerProcess {
  readonly pid: number;
  readonly startId: string;
}

export class World {
  readonly nodes: NodeSlot[] = [];
  readonly scalers: (ChildProcess | null)[] = [null, null];
  readonly faults: Fault[] = [];
  /** Warnings and errors that processes logged, by text: for the report. */
  readonly said = new Map<string, number>();
  redis!: RedisServer;
  /** The way that nodes and scalers take to Redis. */
  redisPath!: TcpPath;
  readonly #directory = mkdtempSync(join(tmpdir(), 'pullproxy-test-chaos-'));
  readonly #linkers = join(this.#directory, 'commands');
  readonly #apps = join(this.#directory, 'starts');
  readonly #violations = join(this.#directory, 'violations');
  readonly #posts = join(this.#directory, 'posts');
  #ending = false;

  async start(nodes: number): Promise<void> {
    this.redis = await startRedis();
    this.redisPath = await TcpPath.open(this.redis.port);
    for (let i = 0; i < nodes; i++) {
      const [listen, backendPort, admin] = [await freePort(), await freePort(), await freePort()];
      this.nodes.push({ id: `n${i}`, listen, backendPort, backend: await TcpPath.open(backendPort), admin, child: null });
    }
    await this.configureAgain();
    await Promise.all(this.nodes.map((node) => this.startNode(node)));
    await Promise.all(this.scalers.map((_, i) => this.startScaler(i)));
  }

  /** A Redis that came back empty has no routes: as an operator's deployment would, somebody sets them again. */
  async configureAgain(): Promise<void> {
    await this.#run(['route', 'set', ROUTE, `maxInstances=${INSTANCES_MAX}`, 'startTimeout=8s', '--redis', this.redis.url]);
  }

  /** One command, on a connection of its own. */
  async redisCommand(...words: readonly string[]): Promise<void> {
    const socket = connect(this.redis.port, '127.0.0.1');
    socket.write(`${words.join(' ')}\r\n`);
    await once(socket, 'data');
    socket.destroy();
  }

  async startNode(node: NodeSlot): Promise<void> {
    const ports = [
      '--listen',
      `http://127.0.0.1:${node.listen}`,
      '--backend',
      `127.0.0.1:${node.backendPort}`,
      '--advertise',
      node.backend.address,
      '--admin',
      `127.0.0.1:${node.admin}`,
    ];
    node.child = await this.#serve(['node', '--id', node.id, ...ports, '--redis', this.#redisUrl, '--drain-timeout', '20s']);
  }

  async startScaler(i: number): Promise<void> {
    const files = { STARTS_FILE: this.#apps, VIOLATIONS_FILE: this.#violations, COMMANDS_FILE: this.#linkers, POSTS_FILE: this.#posts };
    const env = { LIMIT: String(CONCURRENCY), ...files };
    const given = [...Object.keys(env), 'LINKER_SECRET'].flatMap((name) => ['--command-env', name]);
    const proxies = this.nodes.flatMap(({ backend }) => ['--proxy', backend.address]);
    const times = ['--idle-timeout', '20s', '--old-idle-timeout', '4s', '--drain-timeout', '10s', '--stop-timeout', '2s'];
    const linker = [
      'linker',
      ...proxies,
      '--route',
      '{route}',
      '--concurrency',
      String(CONCURRENCY),
      ...times,
      '--',
      process.execPath,
      APP,
    ];
    const command = ['--', process.execPath, START_LINKER, MAIN, ...linker];
    this.scalers[i] = await this.#serve(['scaler', '--redis', this.#redisUrl, '--rate', '50/1s', ...given, ...command], {
      ...env,
      LINKER_SECRET: SECRET,
    });
  }

  /** Linkers that live now. */
  linkers(): LinkerProcess[] {
    return lines(this.#linkers)
      .map((line) => JSON.parse(line) as { START_ID: string; linkerPid: number })
      .map(({ START_ID, linkerPid }) => ({ startId: START_ID, pid: linkerPid }))
      .filter(({ pid }) => alive(pid));
  }

  /** The application of a linker, which outlives its kill -9: as when a container dies, both go. */
  killLinker(linker: LinkerProcess): void {
    signal(linker.pid, 'SIGKILL');
    for (const line of lines(this.#apps)) {
      const { pid, startId } = JSON.parse(line) as { pid: number; startId: string };
      if (startId === linker.startId) signal(pid, 'SIGKILL');
    }
  }

  begin(what: FaultName, node: number | null): Fault {
    const fault = { what, node, from: performance.now(), until: Number.POSITIVE_INFINITY, over: Number.POSITIVE_INFINITY };
    this.faults.push(fault);
    return fault;
  }

  violations(): string[] {
    return lines(this.#violations);
  }

  /** Requests that may not be sent a second time, and were. */
  servedTwice(): string[] {
    const seen = new Set<string>();
    return lines(this.#posts).filter((id) => seen.size === seen.add(id).size);
  }

  commands(): number {
    return lines(this.#linkers).length;
  }

  async stop(): Promise<void> {
    this.#ending = true;
    for (const { child } of this.nodes) child?.kill('SIGCONT');
    for (const child of [...this.nodes.map((node) => node.child), ...this.scalers]) child?.kill('SIGKILL');
    for (const linker of this.linkers()) this.killLinker(linker);
    for (const line of lines(this.#apps)) signal((JSON.parse(line) as { pid: number }).pid, 'SIGKILL');
    await this.redis.stop();
    for (const path of [this.redisPath, ...this.nodes.map(({ backend }) => backend)]) path.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #redisUrl(): string {
    return `redis://${this.redisPath.address}`;
  }

  async #run(args: readonly string[]): Promise<void> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    if (code !== 0) throw new Error(`pullproxy ${args.join(' ')} ended with ${String(code)}`);
  }

  /** Starts a server command; resolves when it is ready, or has ended before. */
  #serve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: this.#directory,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, PULLPROXY_SECRET: SECRET, ...env },
    });
    return new Promise((resolve) => {
      child.once('exit', () => resolve(child));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { msg, level } = JSON.parse(line) as { msg: string; level: number };
        if (msg === 'ready') resolve(child);
        if (level >= 40 && !this.#ending) this.said.set(msg, (this.said.get(msg) ?? 0) + 1);
      });
    });
  }
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie has ended; only its parent has not asked.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended already
  }
}
