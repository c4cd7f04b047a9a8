/** Nodes that only speak to the directory: what they would say, as fast as Redis takes it. */
import { Redis } from 'ioredis';
import pino from 'pino';
import type { InstanceInfo, Peer } from '../../src/cluster/cluster.ts';
import type { InstanceBeat } from '../../src/cluster/directory.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { freePort } from '../../src/linker/free-port.ts';
import { Random } from '../e2e/chaos/random.ts';
import { accepts, type Children } from './children.ts';
import { median } from './load.ts';

export interface Sizes {
  readonly nodes: number;
  readonly instances: number;
  readonly routes: number;
}

/** What something cost Redis. */
export interface Cost {
  /** Commands, scripts counted as one each. */
  readonly commands: number;
  /** Time of Redis' one processor, in ms. */
  readonly redisMs: number;
}

/** Commands that are under way at the same time. */
const PARALLEL = 200;
const CONCURRENCY = 10;
const ROUNDS = 5;

interface Presence {
  readonly node: Peer;
  readonly route: string;
  readonly instances: InstanceInfo[];
}

export async function openSimulation(children: Children, sizes: Sizes): Promise<Simulation> {
  const port = await freePort();
  children.start('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no']);
  await accepts(port);
  const connection = new RedisConnection(`redis://127.0.0.1:${port}`, pino({ level: 'silent' }));
  await connection.ready(5_000);
  return new Simulation(sizes, connection, new Redis(port));
}

export class Simulation {
  readonly #sizes: Sizes;
  readonly #connection: RedisConnection;
  readonly #directory: RedisDirectory;
  readonly #observer: Redis;
  readonly #nodes: readonly Peer[];
  readonly #routes: readonly string[];
  readonly #presences = new Map<string, Presence>();

  constructor(sizes: Sizes, connection: RedisConnection, observer: Redis) {
    this.#sizes = sizes;
    this.#connection = connection;
    this.#directory = new RedisDirectory(connection);
    this.#observer = observer;
    this.#nodes = Array.from({ length: sizes.nodes }, (_, i) => ({ id: `node-${i}`, address: `10.0.${i >> 8}.${i & 255}:9080` }));
    this.#routes = Array.from({ length: sizes.routes }, (_, i) => `application-${i}.example.com`);
    // Each route's instances are spread over nodes as if by chance, the same in every run.
    const random = new Random(1);
    for (let i = 0; i < sizes.instances; i++) {
      const node = random.pick(this.#nodes);
      const route = this.#routes[i % sizes.routes] as string;
      const key = `${node.id} ${route}`;
      const presence = this.#presences.get(key) ?? { node, route, instances: [] };
      presence.instances.push({
        id: `instance${i}`,
        seq: 1_700_000_000_000 + i,
        concurrency: CONCURRENCY,
        state: 'ready',
        active: i % CONCURRENCY,
      });
      this.#presences.set(key, presence);
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
    this.#observer.disconnect();
  }

  /** Registers everything, and says how many bytes of Redis' memory each kind of thing takes. */
  async register() {
    const empty = await this.#memory();
    await this.#all(this.#routes, (route) => this.#directory.setRoute(route, { maxInstances: 100, holdTimeout: '30s' }));
    await this.#beatNodes();
    await this.#all([...this.#presences.values()], ({ node, route }) => this.#directory.enterRoutes(node.id, [route]));
    // After Redis was restarted empty, all of this comes at once.
    const cost = await this.#cost(() => this.#beatRoutes((info) => info));
    const { nodes, routes, instances } = this.#sizes;
    const parts = async (...names: string[]): Promise<number> => {
      const sizes = await Promise.all(this.#routes.flatMap((route) => names.map((name) => this.#bytes(`pp:{${route}}:${name}`))));
      return sizes.reduce((sum, size) => sum + size, 0);
    };
    const nodeKeys = await Promise.all(this.#nodes.map(({ id }) => this.#bytes(`pp:node:${id}`)));
    return {
      presences: this.#presences.size,
      megabytes: Math.round(((await this.#memory()) - empty) / 1e5) / 10,
      bytesPerRoute: Math.round(((await this.#bytes('pp:routes')) + (await parts('meta'))) / routes),
      bytesPerNode: Math.round(nodeKeys.reduce((sum, size) => sum + size, await this.#bytes('pp:nodes')) / nodes),
      bytesPerNodeAndRoute: Math.round((await parts('nodes', 'peers', 'free', 'serving')) / this.#presences.size),
      bytesPerInstance: Math.round((await parts('instances')) / instances),
      ...rounded('again', cost),
    };
  }

  /** One second of a quiet cluster: every node beats, everywhere it has something. A tenth of the instances have another number of requests. */
  async beat() {
    const costs: Cost[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      costs.push(
        await this.#cost(async () => {
          await this.#beatNodes();
          await this.#beatRoutes((info, i) => ((i + round) % 10 === 0 ? { ...info, active: round } : null));
        }),
      );
    }
    const redisMs = median(costs.map((cost) => cost.redisMs));
    return {
      commandsPerSecond: costs[0]?.commands ?? 0,
      redisMs: round(redisMs),
      shareOfRedis: `${Math.round(redisMs / 10)} %`,
      microsecondsPerPresence: round((redisMs * 1_000) / Math.max(1, this.#presences.size)),
    };
  }

  /** So many clients of one route are held, over all nodes, and no slot is idle: one node looks again. */
  async sweep(held: number) {
    const route = this.#routes[0] as string;
    const each = Math.max(1, Math.ceil(held / this.#nodes.length));
    const holders = this.#nodes.slice(0, Math.ceil(held / each));
    const hold = (node: Peer, add: { id: string; ageMs: number }[], remove: string[]) =>
      this.#directory.hold(route, node, { idle: 0, serving: 0, add, remove, maxHeld: null, reset: false });
    const ids = (node: Peer) => Array.from({ length: each }, (_, i) => `${node.id}-${i}`);
    await this.#takeSlots(route, 0);
    await this.#all(holders, (node) =>
      hold(
        node,
        ids(node).map((id) => ({ id, ageMs: 5 })),
        [],
      ),
    );
    const bytesPerClient = Math.round(((await this.#bytes(`pp:{${route}}:held`)) + (await this.#bytes(`pp:{${route}}:holders`))) / held);
    const looks = 200;
    const cost = await this.#cost(async () => {
      for (let i = 0; i < looks; i++) await hold(holders[i % holders.length] as Peer, [], []);
    });
    await this.#all(holders, (node) => hold(node, [], ids(node)));
    await this.#takeSlots(route, 1);
    return { microsecondsPerLook: round((cost.redisMs * 1_000) / looks), bytesPerClient };
  }

  /** A client is held at one node, the idle slot lies at another: everything that Redis hears of it, until the client is served. */
  async handoff(times: number) {
    await this.#beatRoutes(() => null);
    const cost = await this.#cost(async () => {
      for (let i = 0; i < times; i++) {
        const route = this.#routes[i % this.#routes.length] as string;
        const asker = this.#nodes[i % this.#nodes.length] as Peer;
        const change = { idle: 0, serving: 0, maxHeld: null, reset: false };
        await this.#directory.hold(route, asker, { ...change, add: [{ id: `h${i}`, ageMs: 0 }], remove: [] });
        await this.#directory.hold(route, asker, { ...change, add: [], remove: [`h${i}`] });
      }
    });
    return { commands: round(cost.commands / times), microseconds: round((cost.redisMs * 1_000) / times) };
  }

  /** The whole cluster is looked at once. */
  async picture() {
    await this.#beatNodes();
    const began = performance.now();
    const cost = await this.#cost(async () => void (await this.#directory.snapshot()));
    return { ms: Math.round(performance.now() - began), ...rounded('', cost) };
  }

  // ── what nodes say ──

  #beatNodes(): Promise<void> {
    return this.#all(this.#nodes, (node) =>
      this.#directory.beatNode({
        ...node,
        version: '1',
        startedMs: 0,
        held: 0,
        active: 5,
        links: 100,
        draining: false,
        holds: { 0.01: 5 },
        coldStarts: {},
      }),
    );
  }

  /** `changed`: what an instance says anew; null: nothing. */
  #beatRoutes(changed: (info: InstanceInfo, i: number) => InstanceInfo | null): Promise<void> {
    let i = 0;
    return this.#all([...this.#presences.values()], async ({ node, route, instances }) => {
      const said = instances.map((info): InstanceBeat => ({ id: info.id, info: changed(info, i++), claim: false }));
      await this.#directory.beatRoute(route, node, { idle: 1, serving: 1, instances: said, gone: [] });
    });
  }

  /** So many slots lie idle at each node that has instances of the route. */
  #takeSlots(route: string, idle: number): Promise<void> {
    const there = [...this.#presences.values()].filter((presence) => presence.route === route);
    return this.#all(
      there,
      async ({ node }) => void (await this.#directory.beatRoute(route, node, { idle, serving: 0, instances: [], gone: [] })),
    );
  }

  // ── what it cost ──

  async #cost(work: () => Promise<void>): Promise<Cost> {
    const before = await this.#processor();
    const commands = this.#connection.commands;
    await work();
    return { commands: this.#connection.commands - commands, redisMs: (await this.#processor()) - before };
  }

  /** Processor time of Redis so far, in ms. */
  async #processor(): Promise<number> {
    const info = await this.#observer.info('cpu');
    const seconds = ['user', 'sys'].map((kind) => Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(info)?.[1]));
    return seconds.reduce((sum, one) => sum + one, 0) * 1_000;
  }

  async #bytes(key: string): Promise<number> {
    return (await this.#observer.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
  }

  async #memory(): Promise<number> {
    return Number(/used_memory:(\d+)/.exec(await this.#observer.info('memory'))?.[1]);
  }

  async #all<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
    let next = 0;
    const one = async (): Promise<void> => {
      while (next < items.length) await work(items[next++] as T);
    };
    await Promise.all(Array.from({ length: PARALLEL }, one));
  }
}

function rounded(name: string, { commands, redisMs }: Cost): Record<string, number> {
  return { [name === '' ? 'commands' : `${name}Commands`]: commands, [name === '' ? 'redisMs' : `${name}RedisMs`]: round(redisMs) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
