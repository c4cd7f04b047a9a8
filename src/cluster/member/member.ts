/**
 * A node's membership: the cluster over a directory and a bell, the same for both implementations. A `RoutePresence` is what the node has at one
 * route. This file is about the node: it joins, sends beats, cleans up after dead nodes and receives messages.
 */

import { attempt, guard, internalError, isBug, unawaited } from '../../boundary.ts';
import { reasonOf } from '../../errors.ts';
import type { EventLog } from '../../events/event.ts';
import type { Log } from '../../log.ts';
import type { NodeAgents } from '../agents.ts';
import type { Cluster, ClusterListener, ClusterSnapshot, InstanceInfo, NodeLoad, Peer } from '../cluster.ts';
import type { DeclarationsKept } from '../declarations.ts';
import {
  type Bell,
  type DemandNotice,
  type Directory,
  DirectoryUnavailable,
  leaveRing,
  type Ring,
  type RouteRecord,
} from '../directory.ts';
import type { Ask, Rank } from '../fair-order.ts';
import type { HistoryLog } from '../history.ts';
import type { KeyPlaces } from '../key-places.ts';
import { BEAT_MS, CLOCK_STEP_MS, DEAD_AFTER_MS, KEYS_LEFT_MIN_MS, ROUTES_CHECK_MS, START_WAIT_MS } from '../limits.ts';
import { PauseBarrier } from '../pause-barrier.ts';
import type { StartTimes } from '../starts.ts';
import type { WaitLog } from '../waits.ts';
import { Burials } from './burials.ts';
import { ClockComparison, DirectoryClock, monotonicMs } from './clock.ts';
import { ConfiguredRoutes } from './configured-routes.ts';
import { Demand } from './demand.ts';
import { KnownDeclarations } from './known-declarations.ts';
import { LinkedRoutes } from './linked-routes.ts';
import { MoveNotices } from './move-notices.ts';
import { Namesakes } from './namesakes.ts';
import { type PresenceContext, RoutePresence } from './presence.ts';
import { beatAtRoutes } from './revisions.ts';

export interface MemberOptions {
  readonly self: Peer;
  readonly version: string;
  readonly directory: Directory;
  readonly bell: Bell;
  readonly log: Log;
  readonly kept?: DeclarationsKept | undefined;
}

/** Several changes at once are one beat. */
const SOON_MS = 5;
const UNREAD_LOAD: NodeLoad = { held: 0, active: 0, links: 0 };

export class ClusterMember implements Cluster {
  readonly self: Peer;
  readonly #version: string;
  readonly #directory: Directory;
  readonly #bell: Bell;
  readonly #log: Log;
  readonly #kept: DeclarationsKept;
  readonly #startedMs = Date.now();
  readonly #demand = new Demand();
  readonly #clock = new DirectoryClock();
  readonly #presences = new Map<string, RoutePresence>();
  readonly #linked: LinkedRoutes;
  readonly #namesakes: Namesakes;
  readonly #burials: Burials;
  /** All nodes know that some rest. */
  #mayRest = false;
  /** When the last beat with a reply was sent, and since when there was no gap: performance.now(). */
  #beatenAt = Number.NEGATIVE_INFINITY;
  #heardSince = 0;
  readonly #clocks: ClockComparison;
  readonly routePauses: PauseBarrier;
  readonly isRemote: boolean;
  readonly keyPlaces: KeyPlaces;
  readonly agents: NodeAgents;
  readonly eventLog: EventLog;
  readonly history: HistoryLog;
  readonly waits: WaitLog;
  #load: () => NodeLoad = () => UNREAD_LOAD;
  #active: { readonly listener: ClusterListener; readonly context: PresenceContext; readonly routes: ConfiguredRoutes } | null = null;
  /** `joined`: the directory has no beat yet; `known`: it has one. */
  #membership: 'none' | 'joining' | 'joined' | 'known' = 'none';
  #beatTimer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #routesTimer: NodeJS.Timeout | null = null;

  constructor({ self, version, directory, bell, log, kept = {} }: MemberOptions) {
    this.#kept = kept;
    this.self = self;
    this.#version = version;
    this.#directory = directory;
    this.#bell = bell;
    this.#log = log;
    this.#clocks = new ClockComparison(log);
    this.#namesakes = new Namesakes(self.id, log);
    this.#burials = new Burials(directory, log);
    this.routePauses = new PauseBarrier(directory);
    this.isRemote = directory.isRemote;
    this.keyPlaces = directory.keyPlaces;
    this.agents = directory.agents;
    this.eventLog = directory.eventLog;
    this.history = directory.history;
    this.waits = directory.waits;
    this.#linked = new LinkedRoutes((name) => directory.linked(name), monotonicMs);
  }

  get connected(): boolean {
    return this.#directory.connected;
  }

  get joined(): boolean {
    return this.#active?.routes.isLoaded ?? false;
  }

  get refusal(): string | null {
    return this.#directory.refusal;
  }

  get commands(): number {
    return this.#directory.commands;
  }

  async start(listener: ClusterListener, load: () => NodeLoad): Promise<void> {
    const { self } = this;
    const moves = new MoveNotices(self, this.#directory, this.#bell, listener, (route) => this.#presences.get(route)?.look());
    const context: PresenceContext = {
      self,
      directory: this.#directory,
      bell: this.#bell,
      listener,
      demand: this.#demand,
      clock: this.#clock,
      moves,
      now: monotonicMs,
      mayRest: () => this.#mayRest,
      left: (route) => this.#presences.delete(route),
    };
    const known = new KnownDeclarations(this.#directory, this.#kept, this.#log, monotonicMs);
    const routes = new ConfiguredRoutes(
      async () => {
        const settings = await known.routes();
        listener.onPauses?.(known.pauses);
        return settings;
      },
      (settings) => listener.onRoutes(settings),
      this.#log,
    );
    this.#load = load;
    this.#active = { listener, context, routes };
    if (known.pauses.size > 0) listener.onPauses?.(known.pauses);

    await this.#directory.ready(START_WAIT_MS).catch(() => this.#log.warn('the directory does not answer: the node starts without it'));
    await this.#bell.listen(self.id, {
      onRing: (ring) => this.#onRing(ring),
      onDemand: (notice) => this.#onDemand(notice),
      onRoutesChanged: () => unawaited('directory', this.#loadRoutes()),
    });
    this.#directory.onConnected((connected) => this.#onConnected(connected));
    listener.onConnected(this.connected);
    if (this.connected) await this.#join();
    const beat = guard('timer', () => unawaited('directory', this.#beat()));
    const loadRoutes = guard('timer', () => unawaited('directory', this.#loadRoutes()));
    this.#beatTimer = setInterval(beat, BEAT_MS);
    this.#routesTimer = setInterval(loadRoutes, ROUTES_CHECK_MS);
  }

  beatSoon(): void {
    if (this.#soon !== null || this.#active === null) return;
    const due = guard('timer', () => {
      this.#soon = null;
      unawaited('directory', this.#beat());
    });
    this.#soon = setTimeout(due, SOON_MS);
  }

  pauseLapsed(route: string): void {
    this.#directory.forgetPause(route).catch(() => undefined);
  }

  async stop(): Promise<void> {
    if (this.#soon !== null) clearTimeout(this.#soon);
    if (this.#beatTimer !== null) clearInterval(this.#beatTimer);
    if (this.#routesTimer !== null) clearInterval(this.#routesTimer);
    this.#active = null;
    const entered = [...this.#presences].filter(([, presence]) => presence.end());
    this.#presences.clear();
    await this.#bell.close();
    if (this.connected) {
      await Promise.allSettled(entered.map(([route]) => this.#directory.leaveRoute(route, this.self.id, false)));
      await this.#directory.removeNode(this.self.id).catch(() => this.#log.warn('the node left, and the directory could not be told'));
    }
    await this.#directory.close();
  }

  hold(route: string, holdId: string, heldMs: number, maxHeld: number, ask?: Ask): void {
    this.#presence(route)?.hold(holdId, heldMs, maxHeld, ask);
  }

  charge(route: string, line: string, units: number): void {
    this.#presences.get(route)?.charge(line, units);
  }

  unhold(route: string, holdId: string): void {
    this.#presences.get(route)?.unhold(holdId);
  }

  idle(route: string, count: number, served = 0): void {
    const presence = count === 0 ? this.#presences.get(route) : this.#presence(route);
    presence?.idle(count, served);
  }

  olderElsewhere(route: string, heldMs: number, rank?: Rank): boolean {
    return this.#presence(route)?.olderElsewhere(heldMs, rank) ?? false;
  }

  short(route: string, count: number, asker: Peer): void {
    if (count > 0) this.#presence(route)?.short(count, asker);
  }

  pull(route: string, count: number, instance?: { readonly id: string; readonly node?: string }): void {
    this.#presences.get(route)?.pull(count, instance);
  }

  async isAwake(route: string): Promise<boolean> {
    return this.connected ? (this.#presence(route)?.isAwake() ?? false) : false;
  }

  instance(route: string, info: InstanceInfo): void {
    this.#presence(route)?.instance(info);
  }

  instanceGone(route: string, instanceId: string): void {
    this.#presences.get(route)?.instanceGone(instanceId);
  }

  async mayRetire(route: string, instanceId: string, minInstances: number): Promise<boolean> {
    const presence = this.#presences.get(route);
    return presence === undefined ? false : presence.mayRetire(instanceId, minInstances).catch(() => false);
  }

  instanceFailed(route: string, instanceId: string, reason: string): void {
    this.#directory.noteFailure(route, reason, instanceId).catch(() => undefined);
  }

  starting(route: string): number | undefined {
    return this.connected ? this.#presences.get(route)?.starting : undefined;
  }

  startTimes(route: string, startId: string): Promise<StartTimes | null> {
    return this.#directory.startTimes(route, startId).catch(() => null);
  }

  async linkedRoute(names: readonly string[]): Promise<string | null> {
    // An instance that is linked here needs no question.
    const here = names.findIndex((name) => this.#presences.get(name)?.linked === true);
    if (here === 0) return names[0] ?? null;
    const moreSpecific = await this.#linked.first(here === -1 ? names : names.slice(0, here));
    return moreSpecific ?? names[here] ?? null;
  }

  async setRoute(route: string, settings: RouteRecord | null): Promise<void> {
    await this.#directory.setRoute(route, settings);
    await this.#loadRoutes();
  }

  askToLeave(node: string, delayMs?: number): Promise<boolean> {
    return this.#bell.ring(node, leaveRing(delayMs));
  }

  get now(): number | null {
    return this.#clock.at(monotonicMs());
  }

  async forgetNode(node: string): Promise<boolean> {
    const wasMissing = await this.#directory.forgetMissing(node);
    if (wasMissing) this.#log.info({ node }, 'a missing node was forgotten');
    return wasMissing;
  }

  snapshot(): Promise<ClusterSnapshot> {
    return this.#directory.snapshot();
  }

  #presence(route: string): RoutePresence | null {
    const present = this.#presences.get(route);
    if (present !== undefined || this.#active === null) return present ?? null;
    const presence = new RoutePresence(route, this.#active.context);
    this.#presences.set(route, presence);
    return presence;
  }

  /** Entries of a former process with this id are removed first: its clients are gone. */
  async #join(): Promise<void> {
    this.#membership = 'joining';
    try {
      for (const route of await this.#directory.routesOf(this.self.id)) {
        await this.#directory.leaveRoute(route, this.self.id, false);
      }
      this.#membership = 'joined';
      for (const presence of this.#presences.values()) presence.recover();
      await Promise.all([this.#beat(), this.#active?.routes.load(), this.#burials.isBack(this.self)]);
    } catch (error) {
      this.#membership = 'none';
      if (isBug(error)) internalError('directory', error);
      this.#log.warn({ reason: reasonOf(error) }, 'the node could not join; trying again with the next beat');
    }
  }

  #onConnected(connected: boolean): void {
    if (this.#active === null) return;
    if (connected) {
      // It may be another directory, or an empty one.
      this.#clock.forget();
      if (this.#membership !== 'joining') for (const presence of this.#presences.values()) presence.recover();
      unawaited('directory', this.#beat());
      unawaited('directory', this.#loadRoutes());
    } else {
      this.#demand.clear();
      for (const presence of this.#presences.values()) presence.rematch();
    }
    this.#active.listener.onConnected(connected);
  }

  async #beat(): Promise<void> {
    if (this.#active === null || !this.connected || this.#membership === 'joining') return;
    if (this.#membership === 'none') return this.#join();
    unawaited('directory', beatAtRoutes(this.#presences, this.#directory));
    const sentAt = monotonicMs();
    // Only a node whose beats all arrived can distinguish dead nodes from nodes that were cut off.
    if (sentAt - this.#beatenAt > 2 * BEAT_MS) this.#heardSince = sentAt;
    const spares = sentAt - this.#heardSince < DEAD_AFTER_MS;
    const beat = { ...this.#load(), ...this.self, version: this.#version, startedMs: this.#startedMs, spares };
    try {
      const { now, known, startedBefore, routesKnown, others, jumpedMs, mayRest, dead } = await this.#directory.beatNode(beat);
      this.#beatenAt = sentAt;
      this.#clock.sample(now, sentAt, monotonicMs());
      this.#clocks.compare(now);
      this.#mayRest = mayRest;
      // Also where it rests.
      if (!known || jumpedMs > 0) this.#beatEverywhere();
      if (!known && others === 0 && this.#membership === 'known') await this.#noteLoss('the directory was lost: sending everything again');
      // It counted as dead, and beats again.
      else if (!known && this.#membership === 'known') await this.#burials.isBack(this.self);
      // Entries that expire have expired.
      else if (jumpedMs >= KEYS_LEFT_MIN_MS) await this.#noteLoss("the directory's clock was set forward: sending everything again");
      // The process that it has replaced sends no beats any more.
      if (this.#membership === 'known' && startedBefore !== null && startedBefore !== this.#startedMs) this.#namesakes.note(startedBefore);
      this.#membership = 'known';
      if (!routesKnown && this.#presences.size > 0) await this.#directory.enterRoutes(this.self.id, [...this.#presences.keys()]);
      for (const node of dead) if (node !== this.self.id) this.#burials.add(node);
      await this.#burials.run();
    } catch (error) {
      // The next beat says the same.
      if (isBug(error)) internalError('directory', error);
    }
  }

  /** A node that was cut off for a while is also forgotten, but then the directory knows other nodes. */
  async #noteLoss(what: string): Promise<void> {
    this.#log.warn(what);
    await this.#directory.noteLoss();
  }

  #beatEverywhere(): void {
    for (const presence of this.#presences.values()) attempt('directory', () => presence.beat());
  }

  async #loadRoutes(): Promise<void> {
    if (!this.connected) return;
    await this.#active?.routes.load().catch((error: unknown) => {
      if (!(error instanceof DirectoryUnavailable)) this.#log.error({ err: error }, 'the configured routes could not be read');
    });
  }

  #onRing(ring: Ring): void {
    const listener = this.#active?.listener;
    if (ring.t === 'want') listener?.onWant(ring.route, ring.count, ring.asker, ring.instance);
    else if (ring.t === 'coming') listener?.onComing(ring.route, ring.count, ring.from);
    else if (ring.t === 'out') this.#presences.get(ring.route)?.putOut(ring.id);
    else if (ring.t === 'start') listener?.onStartGiven?.(ring.route, ring.startId, ring.agent);
    else if (ring.t === 'leave') listener?.onLeaveAsked?.(ring.delayMs);
    else if (ring.t === 'reload') listener?.onReloadAsked?.();
    else this.#presences.get(ring.route)?.look();
  }

  #onDemand({ route, node, oldest, saidAt, rank }: DemandNotice): void {
    if (node === this.self.id) return;
    const now = this.#clock.at(monotonicMs());
    // Its time is not of the directory's present clock, or it does not come from a node.
    if (now !== null && saidAt > now + CLOCK_STEP_MS) return;
    this.#demand.notice(route, node, oldest, saidAt, monotonicMs(), rank);
    this.#presences.get(route)?.offer();
  }
}
