/** The directory of a single process: `dev`, a node without Redis, tests. Several members may share one. */

import { setTimeout as delay } from 'node:timers/promises';
import { guard } from '../../boundary.ts';
import { hasKey, routeOf } from '../../config/route-key.ts';
import type { RouteRecord } from '../../config/route-settings.ts';
import type { EventLog } from '../../events/event.ts';
import { type Agents, failureOf } from '../agents.ts';
import type { ClusterSnapshot, MissingNode, NodeSnapshot, Pause, Peer } from '../cluster.ts';
import type { Declarations, StoredDeclarations } from '../declarations.ts';
import type {
  BellListener,
  Directory,
  HoldChange,
  HoldReply,
  Matched,
  Move,
  NodeBeat,
  NodeBeatReply,
  RouteBeat,
  RouteBeatReply,
} from '../directory.ts';
import type { HistoryLog } from '../history.ts';
import { BEAT_MS, DEAD_AFTER_MS, RECOVERY_MS } from '../limits.ts';
import { overloadOf } from '../overloads.ts';
import { leftMsOf, pausedRoute } from '../pauses.ts';
import type { EndedStart, StartFacts, StartFailure, StartPlan, StartTimes } from '../starts.ts';
import type { WaitLog } from '../waits.ts';
import { MemoryAgents } from './agents.ts';
import { ringAt } from './bell.ts';
import { DeclaredRoutes } from './declared-routes.ts';
import { MemoryEventLog } from './event-log.ts';
import { MemoryHistoryLog } from './history-log.ts';
import { MemoryKeyPlaces } from './key-places.ts';
import { RouteState } from './route-state.ts';
import { MemoryWaitLog } from './wait-log.ts';

export class MemoryDirectory implements Directory {
  readonly isRemote = false;
  readonly connected = true;
  readonly refusal = null;
  readonly commands = 0;
  readonly #now: () => number;
  readonly #routes = new Map<string, RouteState>();
  #declared = new DeclaredRoutes();
  readonly #nodes = new Map<string, { readonly beat: NodeBeat; readonly at: number }>();
  readonly #routesOf = new Map<string, Set<string>>();
  /** The last beats of dead nodes that are to be noted as missing. */
  readonly #lastBeats = new Map<string, Partial<NodeBeat>>();
  readonly #missing = new Map<string, MissingNode>();
  readonly eventLog: EventLog;
  readonly history: HistoryLog;
  readonly waits: WaitLog;
  readonly keyPlaces: MemoryKeyPlaces;
  readonly agents: MemoryAgents;
  #wholeAt = Number.NEGATIVE_INFINITY;
  /** The bells of all members, by node. */
  readonly listeners = new Map<string, BellListener>();

  /** `now`: ms since the epoch, the directory's clock. By default a monotonic one. */
  constructor(now: () => number = () => performance.timeOrigin + performance.now()) {
    this.#now = now;
    this.eventLog = new MemoryEventLog(now);
    this.history = new MemoryHistoryLog(now);
    this.waits = new MemoryWaitLog(now, (route) => this.#at(route));
    this.keyPlaces = new MemoryKeyPlaces(now);
    const endStart: Agents['giveBack'] = (route, startId, reason) => this.endStart(route, startId, failureOf(reason));
    this.agents = new MemoryAgents({ now, listeners: this.listeners, endStart });
  }

  async ready(): Promise<void> {}
  async close(): Promise<void> {}
  onConnected(): void {}

  /** Loses everything, like a server that is restarted empty. */
  lose(): void {
    for (const map of [this.#routes, this.#nodes, this.#routesOf]) map.clear();
    this.#declared = new DeclaredRoutes();
    this.keyPlaces.lose();
  }

  async startPlan(route: string): Promise<StartPlan> {
    for (;;) {
      const pause = this.#declared.pauses(this.#now()).get(routeOf(route));
      const paused = pause === undefined ? {} : { pausedMs: leftMsOf(pause, this.#now()) };
      const plan = { ...this.#at(route).plan(this.#now()), ...paused };
      // Clients are held, but there is no node: the loss is so recent that no node has noticed it.
      const waitMs = plan.held > 0 && this.#nodes.size === 0 ? BEAT_MS : this.#wholeAt - this.#now();
      if (waitMs <= 0) return plan;
      await delay(waitMs);
    }
  }

  async beginStarts(
    route: string,
    startIds: readonly string[],
    timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    facts: StartFacts = {},
  ): Promise<boolean> {
    return this.#at(route).beginStarts(this.#now(), startIds, timeoutMs, plan, facts);
  }

  async endStart(route: string, startId: string, failure?: StartFailure): Promise<boolean> {
    return this.#at(route).endStart(this.#now(), startId, failure);
  }

  async noteFailure(route: string, reason: string, instance?: string): Promise<void> {
    this.#at(route).noteFailure(this.#now(), reason, instance);
  }

  async startTimes(route: string, startId: string): Promise<StartTimes | null> {
    return this.#at(route).startTimes(this.#now(), startId);
  }

  async endedStarts(route: string): Promise<readonly EndedStart[]> {
    return this.#routes.get(route)?.endedStarts(this.#now()) ?? [];
  }

  async takeEnded(route: string, ended: readonly EndedStart[]): Promise<readonly EndedStart[]> {
    return this.#routes.get(route)?.takeEnded(ended) ?? [];
  }

  async startLinked(route: string, startId: string, isReady = false): Promise<boolean> {
    return this.#routes.get(route)?.startLinked(this.#now(), startId, isReady) ?? false;
  }

  async wantInstances(route: string, count: number): Promise<void> {
    this.#at(route).want(this.#now(), count);
  }

  async restart(route: string): Promise<number> {
    return this.#at(route).restart(this.#now());
  }

  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    return this.#declared.routes();
  }

  async route(route: string): Promise<RouteRecord | null> {
    return this.#declared.route(routeOf(route));
  }

  async setRoute(route: string, settings: RouteRecord | null): Promise<void> {
    if (this.#declared.declare(route, settings, this.#now())) this.#tellOfRoutes();
  }

  async setRouteOnce(route: string, settings: RouteRecord): Promise<void> {
    if (!this.#declared.isKnown(route)) await this.setRoute(route, settings);
  }

  async pause(route: string, forMs: number, tunnels: Pause['tunnels']): Promise<Pause | null> {
    const pause = this.#declared.pause(route, forMs, tunnels, this.#now());
    if (pause !== null) this.#tellOfRoutes();
    return pause;
  }

  async resume(route: string): Promise<boolean> {
    const had = this.#declared.resume(route, false, this.#now());
    this.#tellOfRoutes();
    return had;
  }

  async forgetPause(route: string): Promise<void> {
    this.#declared.resume(route, true, this.#now());
  }

  async pauses(): Promise<{ readonly now: number; readonly pauses: ReadonlyMap<string, Pause> }> {
    const now = this.#now();
    return { now, pauses: this.#declared.pauses(now) };
  }

  async declarations(): Promise<StoredDeclarations> {
    return this.#declared.read(this.#now());
  }

  async restore(cluster: string, known: Declarations): Promise<boolean> {
    const taken = this.#declared.restore(cluster, known, this.#now());
    if (taken > 0) this.#tellOfRoutes();
    return taken >= 0;
  }

  #tellOfRoutes(): void {
    for (const listener of this.listeners.values()) {
      const deliver = guard('bell', () => listener.onRoutesChanged());
      setImmediate(deliver);
    }
  }

  async snapshot(): Promise<ClusterSnapshot> {
    const now = this.#now();
    const nodes = [...(await this.nodes())];
    const paused = await this.pauses();
    const configured = this.#declared.routes();
    const names = new Set([
      ...configured.keys(),
      ...nodes.flatMap(({ id }) => [...(this.#routesOf.get(id) ?? [])]),
      ...paused.pauses.keys(),
    ]);
    return {
      nodes: nodes.sort((a, b) => (a.id < b.id ? -1 : 1)),
      routes: [...names].sort().map((name) => ({
        ...this.#at(name).snapshot(now, name, configured.get(name) ?? null),
        ...this.agents.shown(name),
        paused: pausedRoute(name, paused, nodes),
        overload: overloadOf(name, nodes),
      })),
      missing: (await this.missing()).filter(({ id }) => !nodes.some((node) => node.id === id)),
    };
  }

  async nodes(): Promise<readonly NodeSnapshot[]> {
    const now = this.#now();
    return [...this.#nodes.values()]
      .filter(({ at }) => at > now - DEAD_AFTER_MS)
      .map(({ beat, at }): NodeSnapshot => {
        const { startedMs: _, spares: __, ...said } = beat;
        return { draining: false, holds: {}, coldStarts: {}, ...said, heartbeatAgeMs: now - at };
      });
  }

  async noteLoss(): Promise<void> {
    this.#wholeAt = this.#now() + RECOVERY_MS;
  }

  async beatNode(beat: NodeBeat): Promise<NodeBeatReply> {
    const now = this.#now();
    const before = this.#nodes.get(beat.id);
    this.#nodes.set(beat.id, { beat, at: now });
    const dead = beat.spares ? [] : [...this.#nodes].filter(([, { at }]) => at <= now - DEAD_AFTER_MS).map(([id]) => id);
    for (const id of dead) {
      this.#lastBeats.set(id, this.#nodes.get(id)?.beat ?? {});
      this.#nodes.delete(id);
    }
    for (const [name, route] of this.#routes) if (route.isEmpty(now, hasKey(name))) this.#routes.delete(name);
    const startedBefore = before?.beat.startedMs ?? null;
    return {
      now,
      known: before !== undefined,
      startedBefore,
      routesKnown: this.#routesOf.has(beat.id),
      others: this.#nodes.size - 1,
      mayRest: true,
      jumpedMs: 0,
      dead,
    };
  }

  async enterRoutes(node: string, routes: readonly string[]): Promise<void> {
    this.#routesOf.set(node, new Set([...(this.#routesOf.get(node) ?? []), ...routes]));
  }

  async routesOf(node: string): Promise<readonly string[]> {
    return [...(this.#routesOf.get(node) ?? [])];
  }

  async noteMissing(node: string): Promise<MissingNode> {
    const { address = '', held = 0, active = 0, links = 0 } = this.#lastBeats.get(node) ?? {};
    const missing = { id: node, address, held, active, links, since: Math.floor(this.#now()), ageMs: 0 };
    this.#missing.set(node, missing);
    return missing;
  }

  async missing(): Promise<readonly MissingNode[]> {
    return [...this.#missing.values()].map((node) => ({ ...node, ageMs: Math.floor(this.#now()) - node.since }));
  }

  async forgetMissing(node: string): Promise<boolean> {
    return this.#missing.delete(node);
  }

  async removeNode(node: string): Promise<void> {
    this.#nodes.delete(node);
    this.#lastBeats.delete(node);
    this.#routesOf.delete(node);
  }

  async hold(route: string, node: Peer, change: HoldChange): Promise<HoldReply> {
    return this.#tell(route, node.id, this.#at(route).hold(this.#now(), node, change));
  }

  async offer(route: string, node: Peer, idle: number, anew = false): Promise<Matched> {
    return this.#tell(route, node.id, this.#at(route).offer(this.#now(), node, idle, anew));
  }

  async short(route: string, from: string, asker: string, count: number, idle: number, caller = from): Promise<Matched> {
    return this.#tell(route, caller, this.#at(route).short(this.#now(), from, asker, count, idle));
  }

  /** As the scripts do. */
  #tell<T extends Matched>(route: string, caller: string, found: T): T {
    if (found.moves.length === 0) return found;
    return { ...found, moves: found.moves.map((move) => ({ ...move, told: this.#told(route, caller, move) })) };
  }

  #told(route: string, caller: string, { from, to, count }: Move): Move['told'] {
    const isHeard = from === caller || ringAt(this.listeners, from, { t: 'want', route, count, asker: to });
    if (to.id !== caller) ringAt(this.listeners, to.id, { t: 'coming', route, count, from });
    return isHeard ? 'heard' : 'unheard';
  }

  async beatRoute(route: string, node: Peer, beat: RouteBeat): Promise<RouteBeatReply> {
    return this.#at(route).beat(this.#now(), node, beat);
  }

  async revisions(routes: readonly string[]): Promise<readonly (string | null)[]> {
    return routes.map((route) => this.#routes.get(route)?.revision ?? null);
  }

  async leaveRoute(route: string, node: string, onlyDead: boolean): Promise<boolean> {
    if (!onlyDead) this.#routesOf.get(node)?.delete(route);
    return this.#at(route).leave(this.#now(), node, onlyDead);
  }

  async isListed(node: string): Promise<boolean> {
    return this.#nodes.has(node);
  }

  async retire(route: string, node: string, instance: string, minInstances: number): Promise<boolean> {
    return this.#at(route).retire(this.#now(), node, instance, minInstances);
  }

  async linked(route: string): Promise<boolean> {
    return this.#routes.get(route)?.linked(this.#now()) ?? false;
  }

  #at(route: string): RouteState {
    const state = this.#routes.get(route) ?? new RouteState(this.#now());
    this.#routes.set(route, state);
    return state;
  }
}
