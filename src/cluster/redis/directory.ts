/** The directory in Redis: one method a script, and a few plain commands where nothing must be atomic. */
import { setTimeout as delay } from 'node:timers/promises';
import { internalError } from '../../boundary.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { ClusterSnapshot, Peer } from '../cluster.ts';
import {
  type Directory,
  DirectoryUnavailable,
  type HoldAnswer,
  type HoldChange,
  type Matched,
  type NodeBeat,
  type NodeBeatAnswer,
  type RouteBeat,
  type RouteBeatAnswer,
} from '../directory.ts';
import { beatMs, keysLiveMs, recoveryMs } from '../limits.ts';
import type { StartFacts, StartFailure, StartPlan, StartTimes } from '../starts.ts';
import {
  list,
  readHash,
  readHoldAnswer,
  readMatched,
  readNode,
  readNodeBeat,
  readPlan,
  readRoute,
  readRouteBeat,
  readStartTimes,
  tuples,
  writeInstance,
} from './answers.ts';
import type { RedisConnection } from './connection.ts';
import { lossKey, nodeKey, nodeRoutesKey, nodesKey, routeKeys, routesKey } from './keys.ts';
import { publishCommand } from './publish.ts';

const NO_BOUND = -1;
const AS_BEFORE = -1;

export class RedisDirectory implements Directory {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  get connected(): boolean {
    return this.#redis.connected;
  }

  get refusal(): string | null {
    return this.#redis.refusal;
  }

  get commands(): number {
    return this.#redis.commands;
  }

  onConnected(callback: (connected: boolean) => void): void {
    this.#redis.onConnected(callback);
  }

  ready(timeoutMs: number): Promise<void> {
    return this.#redis.ready(timeoutMs);
  }

  close(): Promise<void> {
    return this.#redis.close();
  }

  // Starts.

  async startPlan(route: string): Promise<StartPlan> {
    for (;;) {
      const [answer, lossMs, nodes] = await Promise.all([
        this.#redis.run('plan', routeKeys(route), []),
        this.#redis.call('pttl', lossKey),
        this.#redis.call('zcard', nodesKey),
      ]);
      const plan = read(readPlan, answer);
      // Clients are held, and nobody is there who holds them: it is so soon after a loss that no node has noticed.
      const waitMs = plan.held > 0 && nodes === 0 ? beatMs : Number(lossMs);
      if (waitMs <= 0) return plan;
      await delay(waitMs);
    }
  }

  async beginStarts(
    route: string,
    startIds: readonly string[],
    timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    { wanted = 0, jobAgeMs = 0 }: StartFacts = {},
  ): Promise<boolean> {
    const args = [plan.ready + plan.starting, plan.begun, timeoutMs, wanted, Math.round(jobAgeMs), ...startIds];
    return (await this.#redis.run('beginStarts', routeKeys(route), args)) === 1;
  }

  async endStart(route: string, startId: string, failure?: StartFailure): Promise<void> {
    await this.#redis.run('endStart', routeKeys(route), [startId, failure?.reason ?? '', failure?.wantedAgain ? 1 : 0]);
  }

  async noteFailure(route: string, reason: string, instance = ''): Promise<void> {
    await this.#redis.run('noteFailure', routeKeys(route), [reason, instance]);
  }

  async startTimes(route: string, startId: string): Promise<StartTimes | null> {
    return read(readStartTimes, await this.#redis.run('startTimes', routeKeys(route), [startId]));
  }

  async wantInstances(route: string, count: number): Promise<void> {
    await this.#redis.run('want', routeKeys(route), [count]);
  }

  async restart(route: string): Promise<number> {
    return Number(await this.#redis.run('restart', routeKeys(route), []));
  }

  // Configured routes.

  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    const stored = readHash(await this.#redis.call('hgetall', routesKey));
    return new Map([...stored].map(([route, json]) => [route, readRecord(json)]));
  }

  async route(route: string): Promise<RouteRecord | null> {
    const json = await this.#redis.call('hget', routesKey, route);
    return typeof json === 'string' ? readRecord(json) : null;
  }

  async setRoute(route: string, settings: RouteRecord | null): Promise<void> {
    if (settings === null) await this.#redis.call('hdel', routesKey, route);
    else await this.#redis.call('hset', routesKey, route, JSON.stringify(canonicalRouteRecord(settings)));
    await this.#redis.call(publishCommand(this.#redis.client), routesKey, route);
  }

  async snapshot(): Promise<ClusterSnapshot> {
    const [configured, beats] = await Promise.all([this.routes(), this.#redis.run('nodes', [nodesKey], [])]);
    const found = await Promise.all(
      tuples(beats, 2).map(async ([node, ageMs]) => {
        const id = String(node);
        const [fields, routes] = await Promise.all([this.#redis.call('hgetall', nodeKey(id)), this.routesOf(id)]);
        return { node: readNode(id, Number(ageMs), fields), routes };
      }),
    );
    const names = new Set([...configured.keys(), ...found.flatMap(({ routes }) => routes)]);
    return {
      nodes: found.map(({ node }) => node).sort((a, b) => (a.id < b.id ? -1 : 1)),
      routes: await Promise.all(
        [...names]
          .sort()
          .map(async (name) => readRoute(name, await this.#redis.run('snapshot', routeKeys(name), []), configured.get(name) ?? null)),
      ),
    };
  }

  // Nodes.

  async noteLoss(): Promise<void> {
    await this.#redis.call('set', lossKey, 1, 'px', recoveryMs);
  }

  async beatNode(beat: NodeBeat): Promise<NodeBeatAnswer> {
    const { id, address, version, startedMs, held, active, links, draining = false, spares = false, holds = {}, coldStarts = {} } = beat;
    const counts = { holds: JSON.stringify(holds), coldStarts: JSON.stringify(coldStarts) };
    const fields = { address, version, started: startedMs, held, active, links, draining: draining ? 1 : 0, ...counts };
    const [answer, started, , , routesKnown] = await Promise.all([
      this.#redis.run('beatNode', [nodesKey], [id, spares ? 1 : 0]),
      this.#redis.call('hget', nodeKey(id), 'started'),
      this.#redis.call('hset', nodeKey(id), ...Object.entries(fields).flat()),
      this.#redis.call('pexpire', nodeKey(id), keysLiveMs),
      this.#redis.call('pexpire', nodeRoutesKey(id), keysLiveMs),
    ]);
    return read((said) => readNodeBeat(said, started, routesKnown), answer);
  }

  async enterRoutes(node: string, routes: readonly string[]): Promise<void> {
    await Promise.all([
      this.#redis.call('sadd', nodeRoutesKey(node), ...routes),
      this.#redis.call('pexpire', nodeRoutesKey(node), keysLiveMs),
    ]);
  }

  async routesOf(node: string): Promise<readonly string[]> {
    return list(await this.#redis.call('smembers', nodeRoutesKey(node))).map(String);
  }

  async removeNode(node: string): Promise<void> {
    await Promise.all([
      this.#redis.call('zrem', nodesKey, node),
      this.#redis.call('del', nodeKey(node)),
      this.#redis.call('del', nodeRoutesKey(node)),
    ]);
  }

  // What nodes have at routes.

  async hold(route: string, node: Peer, change: HoldChange): Promise<HoldAnswer> {
    const { idle, serving, add, remove, maxHeld, reset } = change;
    const args = [node.id, node.address, idle, serving ?? AS_BEFORE, maxHeld ?? NO_BOUND, reset ? 1 : 0, remove.length, ...remove];
    for (const { id, ageMs } of add) args.push(id, ageMs);
    return read(readHoldAnswer, await this.#redis.run('hold', routeKeys(route), args));
  }

  async offer(route: string, node: Peer, idle: number): Promise<Matched> {
    return read(readMatched, await this.#redis.run('offer', routeKeys(route), [node.id, node.address, idle]));
  }

  async short(route: string, from: string, asker: string, count: number, idle: number): Promise<Matched> {
    return read(readMatched, await this.#redis.run('short', routeKeys(route), [from, asker, count, idle]));
  }

  async beatRoute(route: string, node: Peer, beat: RouteBeat): Promise<RouteBeatAnswer> {
    const args = [node.id, node.address, beat.idle, beat.serving ?? 0, beat.gone.length, ...beat.gone];
    for (const { id, info, claim } of beat.instances) {
      args.push(id, claim ? 1 : 0, info === null ? '' : writeInstance(info, node.id));
    }
    return read(readRouteBeat, await this.#redis.run('beat', routeKeys(route), args));
  }

  async leaveRoute(route: string, node: string, onlyDead: boolean): Promise<void> {
    const left = [this.#redis.run('leave', routeKeys(route), [node, onlyDead ? 1 : 0])];
    if (!onlyDead) left.push(this.#redis.call('srem', nodeRoutesKey(node), route));
    await Promise.all(left);
  }

  async retire(route: string, node: string, instance: string, minInstances: number): Promise<boolean> {
    return (await this.#redis.run('retire', routeKeys(route), [node, instance, minInstances])) === 1;
  }

  async linked(route: string): Promise<boolean> {
    return (await this.#redis.run('linked', routeKeys(route), [])) === 1;
  }
}

/** An answer that can't be read is as good as none: it is asked for again. */
function read<T>(reader: (answer: unknown) => T, answer: unknown): T {
  try {
    return reader(answer);
  } catch (error) {
    internalError('directory', error);
    throw new DirectoryUnavailable('an answer of Redis can not be read', { cause: error });
  }
}

/** Anyone may write into Redis; what is no object has no settings. */
function readRecord(json: string): RouteRecord {
  try {
    const record: unknown = JSON.parse(json);
    return typeof record === 'object' && record !== null && !Array.isArray(record) ? (record as RouteRecord) : { '': json };
  } catch {
    return { '': json };
  }
}
