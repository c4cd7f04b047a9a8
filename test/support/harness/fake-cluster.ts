/** A cluster that remembers what it was told, and answers as a test wants. */

import type { Cluster, ClusterListener, ClusterSnapshot, InstanceInfo, NodeLoad, Peer } from '../../../src/cluster/cluster.ts';
import type { Ask } from '../../../src/cluster/fair-order.ts';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { MemoryEventLog } from '../../../src/cluster/memory/event-log.ts';
import { MemoryHistoryLog } from '../../../src/cluster/memory/history-log.ts';
import { PauseBarrier } from '../../../src/cluster/pause-barrier.ts';
import type { StartTimes } from '../../../src/cluster/starts.ts';

export interface HoldSaid {
  readonly ask?: Ask;
  readonly route: string;
  readonly heldMs: number;
  readonly maxHeld: number;
}

export class FakeCluster implements Cluster {
  readonly isRemote = true;
  readonly now = null;
  readonly history = new MemoryHistoryLog(() => Date.now());
  readonly waits = new MemoryDirectory().waits;
  readonly self: Peer;
  connected = true;
  joined = true;
  readonly refusal = null;
  readonly commands = 0;
  listener: ClusterListener | null = null;
  load: (() => NodeLoad) | null = null;
  /** The clients that are registered as held now. */
  readonly holds = new Map<string, HoldSaid>();
  /** How often anything was registered. */
  held = 0;
  /** The level said last, by route. */
  /** Service that lines have got. */
  readonly charged: (readonly [line: string, units: number])[] = [];
  readonly levels = new Map<string, number>();
  readonly shorts: { readonly route: string; readonly count: number; readonly asker: Peer }[] = [];
  readonly instances = new Map<string, InstanceInfo>();
  /** How long a client has waited elsewhere; null: nobody does. */
  elsewhereMs: number | null = null;
  readonly lookups: (readonly string[])[] = [];
  answerLookup: (names: readonly string[]) => Promise<string | null> = async () => null;
  answerRetire: () => Promise<boolean> = async () => true;
  stopped = false;

  constructor(address = '127.0.0.1:1') {
    this.self = { id: 'this', address };
  }

  async start(listener: ClusterListener, load: () => NodeLoad): Promise<void> {
    this.listener = listener;
    this.load = load;
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  hold(route: string, holdId: string, heldMs: number, maxHeld: number, ask?: Ask): void {
    // With another ask it is held again.
    if (this.holds.has(holdId) && ask === undefined) throw new Error(`${holdId} is held twice`);
    this.holds.set(holdId, { route, heldMs, maxHeld, ...(ask === undefined ? {} : { ask }) });
    this.held++;
  }

  unhold(route: string, holdId: string): void {
    if (this.holds.get(holdId)?.route !== route) throw new Error(`${holdId} is not held at ${route}`);
    this.holds.delete(holdId);
  }

  charge(_route: string, line: string, units: number): void {
    this.charged.push([line, units]);
  }

  idle(route: string, count: number): void {
    this.levels.set(route, count);
  }

  olderElsewhere(_route: string, heldMs: number): boolean {
    return this.elsewhereMs !== null && this.elsewhereMs > heldMs;
  }

  short(route: string, count: number, asker: Peer): void {
    this.shorts.push({ route, count, asker });
  }

  /** How many slots of the newest instance were asked for. */
  pulled = 0;

  pull(_route: string, count: number): void {
    this.pulled += count;
  }

  beatsSoon = 0;

  beatSoon(): void {
    this.beatsSoon++;
  }

  pauseLapsed(): void {}

  awake = false;

  async isAwake(): Promise<boolean> {
    return this.awake;
  }

  instance(_route: string, info: InstanceInfo): void {
    this.instances.set(info.id, info);
  }

  starting(): number | undefined {
    return undefined;
  }

  instanceGone(_route: string, instanceId: string): void {
    this.instances.delete(instanceId);
  }

  mayRetire(): Promise<boolean> {
    return this.answerRetire();
  }

  /** Instances that were said to fail, with why. */
  readonly failures: string[] = [];

  instanceFailed(_route: string, reason: string): void {
    this.failures.push(reason);
  }

  async startTimes(): Promise<StartTimes | null> {
    return null;
  }

  linkedRoute(names: readonly string[]): Promise<string | null> {
    this.lookups.push(names);
    return this.answerLookup(names);
  }

  async setRoute(): Promise<void> {}

  readonly routePauses = new PauseBarrier(new MemoryDirectory());
  readonly keyPlaces = new MemoryDirectory().keyPlaces;
  readonly agents = new MemoryDirectory().agents;

  readonly eventLog = new MemoryEventLog(() => 0);

  async forgetNode(): Promise<boolean> {
    return false;
  }

  async askToLeave(): Promise<boolean> {
    return false;
  }

  async snapshot(): Promise<ClusterSnapshot> {
    return { nodes: [], routes: [] };
  }
}
