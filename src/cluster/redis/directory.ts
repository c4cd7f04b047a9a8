/** The directory in Redis: one method for each script, and a few plain commands that need not be atomic. */

import { setTimeout as delay } from 'node:timers/promises';
import { routeOf } from '../../config/route-key.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { EventLog } from '../../events/event.ts';
import { failureOf } from '../agents.ts';
import type { ClusterSnapshot, MissingNode, NodeSnapshot, Pause, Peer } from '../cluster.ts';
import {
  DECLARATION_KINDS,
  type DeclarationKind,
  type Declarations,
  RESTORED_PER_CALL_MAX,
  type StoredDeclarations,
} from '../declarations.ts';
import type { Directory, HoldChange, HoldReply, Matched, NodeBeat, NodeBeatReply, RouteBeat, RouteBeatReply } from '../directory.ts';
import { BEAT_MS, KEYS_LIVE_MS, RECOVERY_MS } from '../limits.ts';
import { leftMsOf } from '../pauses.ts';
import type { EndedStart, StartFacts, StartFailure, StartPlan, StartTimes } from '../starts.ts';
import { countOf, objectOf, routeNameOf, servedNameOf, textOf } from '../values.ts';
import { RedisAgents } from './agents.ts';
import { publishCommand } from './client.ts';
import { type RedisConnection, read } from './connection.ts';
import { RedisEventLog } from './event-log.ts';
import { RedisHistoryLog } from './history-log.ts';
import { RedisKeyPlaces } from './key-places.ts';
import { declarationKeys, lossKey, nodeKey, nodeRoutesKey, nodesKey, placeKey, routeKeys, routesKey } from './keys.ts';
import { Mending } from './mending.ts';
import { MissingNodes } from './missing-nodes.ts';
import { NodeBeats } from './node-beats.ts';
import { PausedRoutes } from './paused-routes.ts';
import { Pictures } from './pictures.ts';
import { list, readDeclarations, readHoldReply, readMatched, readRouteBeat, tuples, writeHold, writeInstance } from './replies.ts';
import { Revisions } from './revisions.ts';
import type { ScriptName } from './scripts.ts';
import { endedField, readEnded, readPlan, readStartTimes } from './start-replies.ts';
import { RedisWaitLog } from './wait-log.ts';

const SHOWN_CHARS_MAX = 300;

export class RedisDirectory implements Directory {
  readonly isRemote = true;
  readonly #redis: RedisConnection;
  readonly #mending: Mending;
  readonly #missing: MissingNodes;
  readonly #beats: NodeBeats;
  readonly #revisions: Revisions;
  readonly #paused: PausedRoutes;
  readonly #pictures: Pictures;
  readonly eventLog: EventLog;
  readonly history: RedisHistoryLog;
  readonly waits: RedisWaitLog;
  readonly keyPlaces: RedisKeyPlaces;
  readonly agents: RedisAgents;
  /** The settings of routes as they were read last: written back when something else stands in their place. */
  #routesRead: readonly string[] = [];

  constructor(redis: RedisConnection) {
    this.#redis = redis;
    this.#mending = new Mending(redis);
    this.#missing = new MissingNodes(redis, this.#mending);
    this.#beats = new NodeBeats(redis, this.#mending);
    this.#revisions = new Revisions(redis);
    this.#paused = new PausedRoutes(redis, this.#mending, (route) => this.#tellOfRoutes(route));
    this.#pictures = new Pictures({
      redis,
      mending: this.#mending,
      missing: this.#missing,
      paused: this.#paused,
      routes: () => this.routes(),
      routesOf: (node) => this.routesOf(node),
    });
    this.eventLog = new RedisEventLog(redis, this.#mending);
    this.history = new RedisHistoryLog(redis, this.#mending);
    this.waits = new RedisWaitLog(
      (route, args) => this.#route('waits', route, args),
      (route, place, command, args) => redis.call(command, placeKey(route, place), ...args),
    );
    this.keyPlaces = new RedisKeyPlaces(redis, this.#mending);
    this.agents = new RedisAgents(redis, this.#mending, (route, id, why) => this.endStart(route, id, failureOf(why)));
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
      const [reply, lossMs, nodes, { now, pauses }] = await Promise.all([
        this.#route('plan', route),
        this.#redis.call('pttl', lossKey),
        this.#key(nodesKey, 'zset', 'zcard'),
        this.pauses(),
      ]);
      const pause = pauses.get(routeOf(route));
      const plan = { ...read(readPlan, reply), ...(pause === undefined ? {} : { pausedMs: leftMsOf(pause, now) }) };
      // Clients are held, but there is no node: the loss is so recent that no node has noticed it.
      // If Redis's clock was set back, the key would stay for that time.
      if (Number(lossMs) > RECOVERY_MS) await this.#redis.call('pexpire', lossKey, RECOVERY_MS);
      const waitMs = plan.held > 0 && nodes === 0 ? BEAT_MS : Math.min(Number(lossMs), RECOVERY_MS);
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
    return (await this.#route('beginStarts', route, args)) === 1;
  }

  async endStart(route: string, startId: string, failure?: StartFailure): Promise<boolean> {
    return (await this.#route('endStart', route, [startId, failure?.reason ?? '', failure?.wantedAgain ? 1 : 0])) === 1;
  }

  async noteFailure(route: string, reason: string, instance = ''): Promise<void> {
    await this.#route('noteFailure', route, [reason, instance]);
  }

  async startTimes(route: string, startId: string): Promise<StartTimes | null> {
    return read(readStartTimes, await this.#route('startTimes', route, [startId]));
  }

  async endedStarts(route: string): Promise<readonly EndedStart[]> {
    return read(readEnded, await this.#route('endedStarts', route));
  }

  async takeEnded(route: string, ended: readonly EndedStart[]): Promise<readonly EndedStart[]> {
    return ended.length === 0 ? [] : read(readEnded, await this.#route('endedStarts', route, ended.map(endedField)));
  }

  async startLinked(route: string, startId: string, isReady = false): Promise<boolean> {
    return (await this.#route('linked', route, [startId, isReady ? 1 : 0])) === 1;
  }

  async wantInstances(route: string, count: number): Promise<void> {
    await this.#route('want', route, [count]);
  }

  async restart(route: string): Promise<number> {
    return countOf(await this.#route('restart', route)) ?? 0;
  }

  // Configured routes.

  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    const stored = tuples(await this.#routes(() => this.#redis.run('routes', [routesKey], [])), 2);
    const routes = new Map<string, RouteRecord>();
    for (const [written, json] of stored) {
      const name = routeNameOf(written);
      if (name === null) this.#redis.leftOut.note(routesKey, written);
      else routes.set(name, readRecord(json));
    }
    this.#routesRead = stored.flatMap(([name, json]) => (routes.has(String(name)) ? [String(name), String(json)] : []));
    return routes;
  }

  async route(route: string): Promise<RouteRecord | null> {
    const json = await this.#routes(() => this.#redis.call('hget', routesKey, routeOf(route)));
    return typeof json === 'string' ? readRecord(json) : null;
  }

  setRoute(route: string, settings: RouteRecord | null): Promise<void> {
    return this.#declare(route, settings, false);
  }

  setRouteOnce(route: string, settings: RouteRecord): Promise<void> {
    return this.#declare(route, settings, true);
  }

  async #declare(route: string, settings: RouteRecord | null, onlyOnce: boolean): Promise<void> {
    const value = settings === null ? '' : JSON.stringify(canonicalRouteRecord(settings));
    const kind: DeclarationKind = 'settings';
    const args = [DECLARATION_KINDS.indexOf(kind) + 1, kind, route, value, onlyOnce ? 1 : 0];
    const changed = await this.#declared(() => this.#redis.run('declare', declarationKeys, args));
    if (changed === 1) await this.#tellOfRoutes(route);
  }

  pause(route: string, forMs: number, tunnels: Pause['tunnels']): Promise<Pause | null> {
    return this.#paused.pause(route, forMs, tunnels);
  }

  resume(route: string): Promise<boolean> {
    return this.#paused.resume(route);
  }

  forgetPause(route: string): Promise<void> {
    return this.#paused.forget(route);
  }

  pauses(): ReturnType<PausedRoutes['read']> {
    return this.#paused.read();
  }

  async declarations(): Promise<StoredDeclarations> {
    return readDeclarations(await this.#declared(() => this.#redis.run('declarations', declarationKeys, DECLARATION_KINDS)));
  }

  async restore(cluster: string, { cluster: before, highest, all }: Declarations): Promise<boolean> {
    let taken = 0;
    for (let at = 0; at === 0 || at < all.length; at += RESTORED_PER_CALL_MAX) {
      const args: (string | number)[] = [cluster, highest, before === null ? 1 : 0];
      for (const { kind, name, version, value } of all.slice(at, at + RESTORED_PER_CALL_MAX)) {
        args.push(DECLARATION_KINDS.indexOf(kind) + 1, kind, name, version, value ?? '');
      }
      const reply = Number(await this.#declared(() => this.#redis.run('restore', declarationKeys, args)));
      if (reply < 0) return false;
      taken += reply;
    }
    if (taken > 0) await this.#tellOfRoutes('');
    return true;
  }

  async #tellOfRoutes(route: string): Promise<void> {
    await this.#redis.call(publishCommand(this.#redis.client), routesKey, route);
  }

  #declared(send: () => Promise<unknown>): Promise<unknown> {
    return this.#mending.ofKeys(declarationKeys, 'hash', send);
  }

  /** A node that knows the settings writes the missing ones again. */
  #routes(send: () => Promise<unknown>): Promise<unknown> {
    return this.#mending.ofKey(routesKey, 'hash', send, async () => {
      const known = tuples(this.#routesRead, 2);
      await Promise.all(known.map(([name, json]) => this.#redis.call('hsetnx', routesKey, String(name), String(json))));
    });
  }

  snapshot(): Promise<ClusterSnapshot> {
    return this.#pictures.snapshot();
  }

  nodes(): Promise<readonly NodeSnapshot[]> {
    return this.#pictures.nodes();
  }

  // Nodes.

  async noteLoss(): Promise<void> {
    await this.#redis.call('set', lossKey, 1, 'px', RECOVERY_MS);
  }

  beatNode(beat: NodeBeat): Promise<NodeBeatReply> {
    return this.#beats.beat(beat);
  }

  isListed(node: string): Promise<boolean> {
    return this.#beats.isListed(node);
  }

  async enterRoutes(node: string, routes: readonly string[]): Promise<void> {
    await Promise.all([
      this.#key(nodeRoutesKey(node), 'set', 'sadd', ...routes),
      this.#redis.call('pexpire', nodeRoutesKey(node), KEYS_LIVE_MS),
    ]);
  }

  async routesOf(node: string): Promise<readonly string[]> {
    const key = nodeRoutesKey(node);
    const stored = list(await this.#mending.ofKey(key, 'set', () => this.#redis.run('nodeRoutes', [key], [])));
    return stored.flatMap((written) => {
      const name = servedNameOf(written);
      if (name === null) this.#redis.leftOut.note(key, written);
      return name ?? [];
    });
  }

  async noteMissing(node: string): Promise<MissingNode> {
    return this.#missing.note(await this.#pictures.node(node, 0));
  }

  missing(): Promise<readonly MissingNode[]> {
    return this.#missing.read();
  }

  forgetMissing(node: string): Promise<boolean> {
    return this.#missing.forget(node);
  }

  async removeNode(node: string): Promise<void> {
    await Promise.all([
      this.#key(nodesKey, 'zset', 'zrem', node),
      this.#redis.call('del', nodeKey(node)),
      this.#redis.call('del', nodeRoutesKey(node)),
    ]);
  }

  // Reports of nodes about routes.

  async hold(route: string, node: Peer, change: HoldChange): Promise<HoldReply> {
    return read(readHoldReply, await this.#route('hold', route, writeHold(node, change, this.#caller(node.id))));
  }

  async offer(route: string, node: Peer, idle: number, anew = false): Promise<Matched> {
    return read(readMatched, await this.#route('offer', route, [node.id, node.address, idle, anew ? 1 : 0, this.#caller(node.id)]));
  }

  async short(route: string, from: string, asker: string, count: number, idle: number, caller = from): Promise<Matched> {
    return read(readMatched, await this.#route('short', route, [from, asker, count, idle, this.#caller(caller)]));
  }

  /** Scripts tell nodes of their moves, except the caller; on a Redis Cluster a message must go to the shard of its channel. */
  #caller(node: string): string {
    return publishCommand(this.#redis.client) === 'publish' ? node : '';
  }

  async beatRoute(route: string, node: Peer, beat: RouteBeat): Promise<RouteBeatReply> {
    const asks = (beat.asksLargest === true ? 1 : 0) + (beat.asksReady === true ? 2 : 0) + (beat.rests === true ? 4 : 0);
    const args = [node.id, node.address, beat.idle, beat.serving ?? 0, asks, beat.gone.length, ...beat.gone];
    for (const { id, info, claim } of beat.instances) args.push(id, claim ? 1 : 0, info === null ? '' : writeInstance(info, node.id));
    const reply = await this.#route('beat', route, args);
    this.#mending.noteTakenOut(list(reply)[7]);
    return read(readRouteBeat, reply);
  }

  revisions(routes: readonly string[]): Promise<readonly (string | null)[]> {
    return this.#revisions.read(routes);
  }

  async leaveRoute(route: string, node: string, onlyDead: boolean): Promise<boolean> {
    const [left] = await Promise.all([
      this.#route('leave', route, [node, onlyDead ? 1 : 0]),
      onlyDead ? null : this.#key(nodeRoutesKey(node), 'set', 'srem', route),
    ]);
    return left === 1;
  }

  async retire(route: string, node: string, instance: string, minInstances: number): Promise<boolean> {
    return (await this.#route('retire', route, [node, instance, minInstances])) === 1;
  }

  async linked(route: string): Promise<boolean> {
    return (await this.#route('linked', route)) === 1;
  }

  #route(script: ScriptName, route: string, args: readonly (string | number)[] = []): Promise<unknown> {
    const keys = routeKeys(route);
    return this.#mending.ofRoute(route, () => this.#redis.run(script, keys, args));
  }

  #key(key: string, type: string, command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#mending.ofKey(key, type, () => this.#redis.call(command, key, ...args));
  }
}

/** A value that is no object has no settings: it is shown as it is. */
function readRecord(json: unknown): RouteRecord {
  return objectOf(json) ?? { '': textOf(json, SHOWN_CHARS_MAX) };
}
