/** The cluster under attack: nodes, scalers and what their startup commands start, on one Redis. All of it can be hurt from here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/linker/free-port.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { TcpPath } from '../../support/tcp-path.ts';
import type { FaultName } from './fault-names.ts';
import { Traces } from './traces.ts';

const START_LINKER = fileURLToPath(new URL('../../support/apps/start-linker.mjs', import.meta.url));
const APP = fileURLToPath(new URL('../../support/apps/counting-app.mjs', import.meta.url));
const SECRET = 'a secret for chaos';

export const ROUTE = 'chaos.test';
const INSTANCES_MAX = 6;

/** A span of time (performance.now() in ms) in which something was broken on purpose. */
export interface Fault {
  readonly what: FaultName;
  /** The node that it hit; null: none. */
  readonly node: number | null;
  /** That node had slots lent on to others, for linkers that could not dial them: clients there are served through it, too. */
  readonly relays: boolean;
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
  /** Since it was started it has lent slots on to other nodes. */
  hasRelayed: boolean;
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
  readonly #directory = realpathSync(mkdtempSync(join(tmpdir(), 'pullproxy-test-chaos-')));
  readonly traces = new Traces(this.#directory);
  /** Of each instance. */
  readonly concurrency: number;
  /** Processes that nobody had told to end. */
  readonly endedUnasked: string[] = [];
  readonly #toEnd = new WeakSet<ChildProcess>();
  #ending = false;

  constructor(concurrency = 4) {
    this.concurrency = concurrency;
  }

  async start(nodes: number): Promise<void> {
    this.redis = await startRedis();
    this.redisPath = await TcpPath.open(this.redis.port);
    for (let i = 0; i < nodes; i++) {
      const [listen, backendPort, admin] = [await freePort(), await freePort(), await freePort()];
      this.nodes.push({
        id: `n${i}`,
        listen,
        backendPort,
        backend: await TcpPath.open(backendPort),
        admin,
        child: null,
        hasRelayed: false,
      });
    }
    await this.configureAgain();
    await Promise.all(this.nodes.map((node) => this.startNode(node)));
    await Promise.all(this.scalers.map((_, i) => this.startScaler(i)));
  }

  /** A Redis that came back empty has no routes: as an operator's deployment would, somebody sets them again. */
  configureAgain(): Promise<void> {
    return this.configure(ROUTE);
  }

  async configure(route: string): Promise<void> {
    await this.#run([
      'route',
      'set',
      route,
      `maxInstances=${INSTANCES_MAX}`,
      'startTimeout=8s',
      'holdTimeout=45s',
      '--redis',
      this.redis.url,
    ]);
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
    const env = { LIMIT: String(this.concurrency), ...this.traces.env };
    const given = [...Object.keys(env), 'LINKER_SECRET'].flatMap((name) => ['--command-env', name]);
    const proxies = this.nodes.flatMap(({ backend }) => ['--proxy', backend.address]);
    const times = ['--idle-timeout', '20s', '--old-idle-timeout', '4s', '--drain-timeout', '10s', '--stop-timeout', '2s'];
    const linker = [
      'linker',
      ...proxies,
      '--route',
      '{route}',
      '--concurrency',
      String(this.concurrency),
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

  /** Ends a node or a scaler by a signal; resolves with its exit code, null when the signal killed it. */
  async end(child: ChildProcess, name: NodeJS.Signals): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    this.#toEnd.add(child);
    const ended = once(child, 'exit');
    child.kill(name);
    const [code] = (await ended) as [number | null];
    if (name === 'SIGTERM' && code !== 0) this.endedUnasked.push(`after SIGTERM a process ended with ${String(code)}`);
    return code;
  }

  /** For the report: how often it was so. */
  note(what: string): void {
    if (!this.#ending) this.said.set(what, (this.said.get(what) ?? 0) + 1);
  }

  begin(what: FaultName, node: number | null): Fault {
    const relays = node !== null && this.nodes[node]?.hasRelayed === true;
    const fault = { what, node, relays, from: performance.now(), until: Number.POSITIVE_INFINITY, over: Number.POSITIVE_INFINITY };
    this.faults.push(fault);
    return fault;
  }

  async stop(): Promise<void> {
    this.#ending = true;
    for (const { child } of this.nodes) child?.kill('SIGCONT');
    for (const child of [...this.nodes.map((node) => node.child), ...this.scalers]) child?.kill('SIGKILL');
    this.traces.killAll();
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
      child.once('exit', (code, name) => {
        if (!this.#ending && !this.#toEnd.has(child)) this.endedUnasked.push(`${args[0]} ended by itself: ${code ?? name}`);
        resolve(child);
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { msg, level } = JSON.parse(line) as { msg: string; level: number };
        if (msg === 'ready') resolve(child);
        if (level >= 40) this.note(msg);
      });
    });
  }
}
