/** A cluster in one process and in simulated time: nodes, linkers, applications, a scaler and clients, with the code that they really run. */
import type { ListenUrl } from '../../../src/config/listen-url.ts';
import type { ClientLimits } from '../../../src/config/listener-settings.ts';
import type { ProxyNode } from '../../../src/node/node.ts';
import { Random } from '../../e2e/chaos/random.ts';
import type { Checker } from '../checker/checker.ts';
import type { HistoryEvent, ProcessBegan, Role, WithoutTime } from '../events.ts';
import { Clients, EVENLY, type Pace } from '../world/clients.ts';
import { type RouteSpec, servedNames, settingsOf } from '../world/routes.ts';
import { startApplication } from './application.ts';
import { Owner, WALL_MS } from './clock.ts';
import type { Code } from './code.ts';
import { DirectoryWay, remoteBell, remoteDirectory } from './directory.ts';
import type { WorldSizes } from './shapes.ts';

const SECRET = 'a-secret-of-the-simulation';
export const CLIENT_PORT = 8_000;
const BACKEND_PORT = 9_000;
const APP_PORT = 10_000;
/** From its startup command to its linker. */
const START_MS = { least: 50, most: 400 };

export interface SimulatedNode {
  readonly id: string;
  readonly i: number;
  owner: Owner;
  way: DirectoryWay;
  node: ProxyNode | null;
}

export interface SimulatedInstance {
  readonly startId: string;
  readonly route: string;
  readonly instance: string;
  readonly linkerOwner: Owner;
  readonly appOwner: Owner;
  readonly linker: InstanceType<Code['Linker']>;
  readonly app: ProcessBegan;
}

export class SimulatedWorld {
  readonly code: Code;
  readonly sizes: WorldSizes;
  readonly nodes: SimulatedNode[] = [];
  readonly instances: SimulatedInstance[] = [];
  readonly redis = new Owner('redis');
  readonly directory: InstanceType<Code['MemoryDirectory']>;
  readonly random: Random;
  readonly clients: Clients;
  /** Every line so far goes there. */
  readonly #checker: Checker;
  readonly #operator: ProcessBegan;
  readonly #clientOwner = new Owner('clients');
  readonly #scalerOwner = new Owner('scaler');
  readonly #scalerWay = new DirectoryWay();
  #scaler: InstanceType<Code['LocalScaler']> | null = null;
  readonly #idleTimeouts: { readonly idleTimeoutMs: number; readonly oldIdleTimeoutMs: number };
  readonly #drained = new Set<SimulatedInstance>();
  /** Route → how often it was paused so far. */
  readonly pauses = new Map<string, number>();
  #pids = 0;
  #starts = 0;

  constructor(code: Code, sizes: WorldSizes, seed: number, checker: Checker, pace: Pace = EVENLY) {
    const { idleTimeoutMs = 20_000 } = sizes;
    this.#idleTimeouts = { idleTimeoutMs, oldIdleTimeoutMs: Math.min(idleTimeoutMs, 3_000) };
    this.code = code;
    this.sizes = sizes;
    this.#checker = checker;
    code.clock.reset(seed);
    code.network.reset();
    this.random = new Random(seed + 7);
    this.#operator = this.process('operator', 'operator');
    this.directory = new code.MemoryDirectory(() => WALL_MS + code.clock.now);
    for (let i = 0; i < sizes.nodes; i++)
      this.nodes.push({ id: `n${i}`, i, owner: new Owner(`node:n${i}`), way: new DirectoryWay(), node: null });
    const client = this.process('client', 'clients');
    this.clients = new Clients({
      file: { add: (event) => this.record(client, event) },
      random: new Random(seed + 1),
      routes: sizes.routes,
      nodes: this.nodes.map(({ id, i }) => ({ id, port: CLIENT_PORT + i })),
      pace,
    });
    code.onLinker = (owner, e) => {
      const one = this.instances.find(({ linkerOwner }) => linkerOwner === owner);
      if (one !== undefined) this.record(this.process('linker', one.startId, false), { e, instance: one.instance, route: one.route });
    };
    const scalerDirectory = remoteDirectory(code, this.#scalerOwner, this.redis, this.directory, this.#scalerWay);
    const start = async ({ startId, route }: { readonly startId: string; readonly route: string }): Promise<void> =>
      this.#start(startId, route);
    code.clock.in(
      0,
      () => {
        this.#scaler = new code.LocalScaler({ directory: scalerDirectory, start, log: code.log });
      },
      this.#scalerOwner,
    );
  }

  /** Clients begin when the nodes are there. */
  start(): void {
    const { clock } = this.code;
    for (const route of this.sizes.routes) this.configure(route, route.maxInstances);
    for (const node of this.nodes) void this.startNode(node);
    clock.in(this.sizes.clientsFromMs ?? 1_000, () => void this.clients.run(this.sizes.clients), this.#clientOwner);
  }

  /** A process begins, or (`isNew` false) has a line to write. */
  process(role: Role, name: string, isNew = true): ProcessBegan {
    const { clock } = this.code;
    const t = Math.round(clock.now * 1_000);
    const by: ProcessBegan = { e: 'process', t, role, name, pid: this.#pids++, clock: 'simulated', wallMs: 0 };
    if (isNew) this.#checker.take({ event: by, by });
    return by;
  }

  record(by: ProcessBegan, event: WithoutTime<HistoryEvent>): void {
    this.#checker.take({ event: { t: Math.round(this.code.clock.now * 1_000), ...event } as HistoryEvent, by });
  }

  says(event: WithoutTime<HistoryEvent>): void {
    this.record(this.#operator, event);
  }

  configure(route: RouteSpec, maxInstances: number): void {
    const { concurrency } = this.sizes;
    for (const name of servedNames(route)) this.says({ e: 'route', route: name, maxInstances, concurrency, fair: route.fair });
    void this.code.clock.does(this.redis, () => this.directory.setRoute(route.name, settingsOf(route, maxInstances)));
  }

  /** Resolves when it is there, or has failed. */
  async startNode(node: SimulatedNode): Promise<void> {
    const { code } = this;
    const { id, i } = node;
    node.owner = new Owner(`node:${id}`);
    node.way = new DirectoryWay();
    const { owner, way } = node;
    const by = this.process('node', id);
    const limits = Object.fromEntries(
      Object.entries(code.CLIENT_LIMITS).map(([key, { defaultValue }]) => [key, defaultValue]),
    ) as unknown as ClientLimits;
    const listen: ListenUrl = { protocol: 'http', host: '127.0.0.1', port: CLIENT_PORT + i, route: null, proxyProtocol: null };
    const directory = remoteDirectory(code, owner, this.redis, this.directory, way);
    const started = code.clock.does(owner, () =>
      code.ProxyNode.start({
        id,
        listen: [listen],
        backend: { host: '127.0.0.1', port: BACKEND_PORT + i },
        cluster: (bound) => {
          const bell = remoteBell(code, owner, this.redis, new code.MemoryBell(this.directory), way);
          return new code.ClusterMember({ self: { id, address: bound }, version: '0', log: code.log, directory, bell });
        },
        startNeeded: (route, force) => this.#startNeeded(owner, way, route, force),
        secrets: () => [SECRET],
        ...limits,
        heldBytesMax: 64 * 1_048_576,
        http2WindowBytesMax: 1_048_576,
        connectionsMax: 10_000,
        heldMax: 10_000,
        log: code.log,
        watchers: [
          {
            held: (record) => this.record(by, { e: 'held', id: idOf(record), route: record.route ?? '' }),
            opened: (record) => {
              const { instance = '', relayed = false } = record.stream?.lender ?? {};
              const about = { route: record.route ?? '', instance, attempt: record.streams.length, ...(relayed ? { relayed } : {}) };
              this.record(by, { e: 'opened', id: idOf(record), ...about });
            },
            ended: (record) => {
              const { status, endedBy, phase, reason } = record;
              this.record(by, { e: 'over', id: idOf(record), status, end: endedBy + phase, ...(reason === null ? {} : { reason }) });
            },
          },
        ],
      }),
    );
    await started.then(
      (running) => {
        if (node.owner === owner) node.node = running;
      },
      () => {},
    );
  }

  /** An instance that lives and has not left. */
  get living(): SimulatedInstance[] {
    return this.instances.filter(({ linkerOwner }) => linkerOwner.state !== 'gone');
  }

  kill(one: SimulatedInstance): void {
    this.code.network.kill(one.linkerOwner);
    this.code.network.kill(one.appOwner);
  }

  /** The application asks for another limit, and hears that it is in force. */
  moveLimit({ app, appOwner, linker, linkerOwner }: SimulatedInstance, limit: number): void {
    const { clock, network } = this.code;
    const agreed = (): void => this.record(app, { e: 'agreed', limit });
    const asks = (): void => {
      this.record(app, { e: 'asks', limit });
      network.send(appOwner, linkerOwner, () => {
        linker.control
          .limitTo(limit)
          .then(() => network.send(linkerOwner, appOwner, agreed))
          .catch(() => {});
      });
    };
    clock.in(0, asks, appOwner);
  }

  /** False: it was told to before, and would be in a hurry now. */
  drain(one: SimulatedInstance): boolean {
    if (this.#drained.has(one)) return false;
    this.#drained.add(one);
    this.code.clock.in(0, () => one.linker.drain(), one.linkerOwner);
    return true;
  }

  stop(): void {
    this.#scaler?.close();
    for (const { owner } of this.nodes) owner.state = 'gone';
    for (const { linkerOwner, appOwner } of this.instances) {
      linkerOwner.state = 'gone';
      appOwner.state = 'gone';
    }
  }

  /** Orders go through Redis, as messages do. */
  #startNeeded(owner: Owner, way: DirectoryWay, route: string, force?: number): void {
    const { network } = this.code;
    if (!way.connected) return;
    network.send(owner, this.redis, () => network.send(this.redis, this.#scalerOwner, () => this.#scaler?.request(route, force)));
  }

  /** An instance that nobody asked for. */
  addInstance(startId: string, route: string): void {
    this.#startInstance(startId, route);
  }

  /** Calls of the directory and messages over it so far, of all nodes and the scaler. */
  directoryCalls(): ReadonlyMap<string, number> {
    const calls = new Map<string, number>();
    for (const way of [...this.nodes.map((node) => node.way), this.#scalerWay])
      for (const [call, count] of way.calls) calls.set(call, (calls.get(call) ?? 0) + count);
    return calls;
  }

  #start(startId: string, route: string): void {
    const command = this.process('command', startId);
    this.record(command, { e: 'start', startId, route, pid: 0 });
    this.code.clock.in(this.random.between(START_MS.least, START_MS.most), () => this.#startInstance(startId, route), this.#clientOwner);
  }

  #startInstance(startId: string, route: string): void {
    const { code } = this;
    const { concurrency } = this.sizes;
    const n = this.#starts++;
    const instance = `instance${String(n).padStart(4, '0')}`;
    const [linkerOwner, appOwner] = [new Owner(`linker:${startId}`), new Owner(`app:${startId}`)];
    this.process('linker', startId);
    const app = this.process('app', startId);
    this.record(app, { e: 'up', instance, route, startId, limit: concurrency });
    const port = APP_PORT + n;
    code.clock.in(0, () => startApplication({ host: '127.0.0.1', port, instance, record: (event) => this.record(app, event) }), appOwner);
    const linker = new code.Linker({
      proxies: this.nodes.map(({ i }) => ({ host: '127.0.0.1', port: BACKEND_PORT + i })),
      route,
      concurrency,
      secret: SECRET,
      app: { host: '127.0.0.1', port },
      env: {},
      instance,
      startId,
      ...this.#idleTimeouts,
      drainTimeoutMs: 10_000,
      log: code.log,
    });
    this.instances.push({ startId, route, instance, linkerOwner, appOwner, linker, app });
    const exit = code.clock.does(linkerOwner, () => linker.run());
    exit
      .then(() => {
        this.record(app, { e: 'told' });
        code.network.kill(appOwner);
        code.network.kill(linkerOwner);
      })
      .catch(() => {});
  }
}

function idOf(record: { readonly facts: { readonly head: { field(name: string): string | null } | null } }): string {
  return record.facts.head?.field('x-request-id') ?? '';
}
