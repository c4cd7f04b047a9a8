/** Two nodes with Redis and a scaler, and agents with a route of their own for each test. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { type ApplicationResponse, crowd } from './clients.ts';
import { type ClusterNode, type State, setRoute, startLinker, startNode, state } from './cluster.ts';
import { eventually } from './eventually.ts';
import type { Running } from './processes.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { Versions } from './versions.ts';

export const CONCURRENCY = 2;
/** Processes of Node start one after the other: on a busy machine that takes long. */
export const PATIENCE_MS = 100_000;

type RouteState = State['routes'][number];

export class AgentStage {
  redis!: RedisServer;
  nodes!: readonly [ClusterNode, ClusterNode];
  route = '';
  versions = new Versions();
  /** Killed after each test. */
  readonly running: Running[] = [];
  #routes = 0;

  async open(): Promise<void> {
    this.redis = await startRedis();
    const [a, b] = await Promise.all(['a', 'b'].map((id) => startNode(this.redis.url, ['--id', id])));
    this.nodes = [a as ClusterNode, b as ClusterNode];
  }

  async begin(): Promise<void> {
    this.route = `app${++this.#routes}.example.com`;
    this.versions = new Versions();
    this.versions.deploy('v1');
    await setRoute(this.redis.url, this.route, 'maxInstances=20', 'holdTimeout=5m', `concurrency=${CONCURRENCY}`);
  }

  async end(): Promise<void> {
    this.versions.openGate();
    for (const one of this.running.splice(0)) one.kill('SIGKILL');
    await eventually('no application is left', () => this.applications.length === 0, PATIENCE_MS);
    this.versions.remove();
  }

  /** An agent at node `at`, as on a machine of its own. */
  startAgent(at: 0 | 1, instances: string, ...args: readonly string[]): Promise<Running> {
    return this.startAgentAt([this.nodes[at]], this.versions.app, instances, args);
  }

  /** The same at the first of these nodes, or the next one. */
  async startAgentAt(
    nodes: readonly [ClusterNode, ...ClusterNode[]],
    app: readonly string[],
    instances: string,
    args: readonly string[] = [],
  ): Promise<Running> {
    const linker = { proxies: nodes.map(({ backend }) => backend), route: this.route, concurrency: CONCURRENCY, app };
    const agent = await startLinker({ ...linker, args: ['--instances', instances, '--ready-path', '/healthz', ...args] });
    this.running.push(agent);
    await agent.logged(({ msg }) => msg === 'linked to a node', PATIENCE_MS);
    // The scaler gives starts to agents of which the directory has heard.
    const known = (): boolean =>
      nodes.some(({ logs }) => logs.some(({ msg, agent: id }) => msg === 'agent linked' && id === agent.ready.agent));
    await eventually('a node knows the agent', known, PATIENCE_MS);
    return agent;
  }

  clients(count: number, path = '/gate'): Promise<ApplicationResponse[]> {
    return crowd(count, (i) => this.nodes[i % 2 === 0 ? 0 : 1].url, { host: this.route, path });
  }

  async picture(): Promise<RouteState | undefined> {
    return (await state(this.nodes[0])).routes.find(({ name }) => name === this.route);
  }

  async becomes(what: string, is: (now: RouteState) => boolean): Promise<void> {
    await eventually(
      what,
      async () => {
        const now = await this.picture();
        return now !== undefined && is(now);
      },
      PATIENCE_MS,
    );
  }

  /** Processes of this test's application, whoever has started them. */
  get applications(): readonly number[] {
    const [, , file = ''] = this.versions.app;
    return readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        const [program, , argument] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return program === process.execPath && argument === file ? [Number(pid)] : [];
      } catch {
        return [];
      }
    });
  }
}

/** For a test file: opened before its tests. `scaler` is started with it. */
export function agentStage(scaler: (redisUrl: string, stage: AgentStage) => Promise<unknown>): AgentStage {
  const stage = new AgentStage();
  beforeAll(async () => {
    await stage.open();
    await scaler(stage.redis.url, stage);
  });
  afterAll(async () => {
    await stage.redis?.stop();
  });
  beforeEach(() => stage.begin());
  afterEach(() => stage.end());
  return stage;
}

/** Instances that have become ready. */
export const served = (agent: Running): number => agent.logs.filter(({ msg }) => msg === 'instance serves').length;
