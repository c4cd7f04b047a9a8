/**
 * The directory and the bell, as the two implementations (memory, Redis) provide them.
 *
 * Every method of the directory is one atomic transition. All times are the directory's own (ms since the epoch): nodes
 * send ages, never their clocks. A method rejects with `DirectoryUnavailable` when the directory did not answer; whether the
 * transition happened is then unknown, and the caller says everything anew once the directory is back.
 */
import type { RouteRecord } from '../config/route-settings.ts';
import type { ClusterSnapshot, InstanceInfo, NodeLoad, Peer } from './cluster.ts';
import type { Declarations, StoredDeclarations } from './declarations.ts';
import type { StartFacts, StartFailure, StartPlan, StartTimes } from './starts.ts';

export type { RouteRecord, StartPlan };

/** The directory is not reachable, or did not answer in time. */
export class DirectoryUnavailable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`the directory is unavailable: ${reason}`, options);
    this.name = 'DirectoryUnavailable';
  }
}

/** What the scaler, `status` and `route` use: they don't join as a node. */
export interface StartDirectory {
  /** False between a lost connection and the next one. Always true in memory. */
  readonly connected: boolean;
  /** Why the directory refuses to write although it answers; null when it does not. Always null in memory. */
  readonly refusal: string | null;
  /** Commands sent so far, all of them; 0 in memory. */
  readonly commands: number;
  /** Resolves when the directory answers; rejects with `DirectoryUnavailable` when it has not within `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  /** Closes the connections. Nothing may be called after it. */
  close(): Promise<void>;

  /**
   * Waits, about two beats, while the directory is known to have lost everything (`noteLoss`): an instance that it forgot must not
   * be started a second time.
   */
  startPlan(route: string): Promise<StartPlan>;
  /**
   * Enters `startIds` among the route's starts, to be given up after `timeoutMs`. A start ends when an instance links with its id; of
   * ids such as `k3x:1`, `k3x:2`, which one command begins together, one ends with each new instance that links with `k3x` or with no known id.
   * False, and nothing is entered, when something was begun since `plan`, or the
   * route's ready and starting instances are no longer as many: plan again. This is what makes two scalers start no
   * more than one would.
   */
  beginStarts(
    route: string,
    startIds: readonly string[],
    timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    facts?: StartFacts,
  ): Promise<boolean>;
  /** The start is no longer waited for; with `failure`, because it failed. Unknown ids are ignored. */
  endStart(route: string, startId: string, failure?: StartFailure): Promise<void>;
  /** A failure that belongs to no start that is waited for: an instance that was ready and served nobody. Counted once for each `instance`. */
  noteFailure(route: string, reason: string, instance?: string): Promise<void>;
  /** When a start was begun; null when nothing is known of it. */
  startTimes(route: string, startId: string): Promise<StartTimes | null>;
  /** Somebody wants so many instances more than clients need. */
  wantInstances(route: string, count: number): Promise<void>;
  /** All instances that are there are to be replaced by new ones. Returns how many those are. */
  restart(route: string): Promise<number>;

  /** The configured routes. */
  routes(): Promise<ReadonlyMap<string, RouteRecord>>;
  /** One configured route's settings; null when it is not configured. */
  route(route: string): Promise<RouteRecord | null>;
  /** Sets or (null) deletes a configured route and tells all nodes. Rejects with `ConfigError` when the settings are bad. */
  setRoute(route: string, settings: RouteRecord | null): Promise<void>;
  /** As `setRoute`, where nobody has ever set or deleted that route. */
  setRouteOnce(route: string, settings: RouteRecord): Promise<void>;

  /** Nodes, and all routes that are configured or at which a living node has something registered. */
  snapshot(): Promise<ClusterSnapshot>;
}

/** A held client, as it is registered. */
export interface Hold {
  readonly id: string;
  /** For how long it has been held. */
  readonly ageMs: number;
}

/** `count` idle slots that lie at the node `from` are promised to clients held at `to`. */
export interface Move {
  readonly from: string;
  readonly to: Peer;
  readonly count: number;
}

/** What a search for idle slots found. */
export interface Matched {
  /** The directory's time. */
  readonly now: number;
  /** False when the directory did not know that the calling node has anything at this route: after a loss, all of it must be said again. */
  readonly known: boolean;
  /** Promises made by this call, for any node. The caller rings those who must act. */
  readonly moves: readonly Move[];
  /** The calling node's clients that nobody has promised a slot. */
  readonly waiting: number;
  /** Arrival of the oldest of them; null if none. */
  readonly oldestHere: number | null;
  /** Arrival of the oldest unpromised client held at another node; null if none. Where many wait, one that is younger than all here may be left out. */
  readonly oldestElsewhere: number | null;
  /** Starts keep failing, no instance is there and none on its way: for so long nobody is to wait. 0: they may. */
  readonly failingMs: number;
}

export interface HoldChange {
  /** The node's idle slots of the route. */
  readonly idle: number;
  /** Clients that are served through the node; absent: as said before. */
  readonly serving?: number | undefined;
  /** Oldest first. Those already registered keep their place. */
  readonly add: readonly Hold[];
  /** Taken out before `add` is put in; unknown ones are ignored. */
  readonly remove: readonly string[];
  /** Bound on the route's held clients in the whole cluster; null takes all in `add`: they were accepted before. */
  readonly maxHeld: number | null;
  /** Forget all that this node had registered as held before: `add` begins the list anew. */
  readonly reset: boolean;
}

export interface HoldReply extends Matched {
  /** Of `add`, those beyond `maxHeld`. */
  readonly refused: readonly string[];
}

/** What a node has at a route, said with each beat. */
export interface RouteBeat {
  readonly idle: number;
  /** Clients that are served through the node; absent: none. */
  readonly serving?: number;
  readonly instances: readonly InstanceBeat[];
  /** Instances that have left this node; those that have their home elsewhere by now stay. */
  readonly gone: readonly string[];
}

export interface InstanceBeat {
  readonly id: string;
  /** What changed since it was last said; null when nothing did. */
  readonly info: InstanceInfo | null;
  /** The instance has just linked here: it is this node's from now on, whoever had it. */
  readonly claim: boolean;
}

export interface RouteBeatReply {
  readonly now: number;
  /** As in `Matched`. */
  readonly known: boolean;
  /** How many clients the directory has as held at this node. */
  readonly held: number;
  /** Instances of which the directory knows nothing: to be said in full again. */
  readonly missing: readonly string[];
  /** Instances that were said with the number 0, and the numbers that they have. */
  readonly numbered?: readonly (readonly [id: string, seq: number])[];
  /** The newest ready instance of the route in the cluster; null if none is ready. */
  readonly newest: string | null;
  /** Where that one has its home. */
  readonly newestNode: string | null;
  /** Starts under way in the cluster, as in `StartPlan`. */
  readonly starting: number;
}

export interface NodeBeat extends NodeLoad {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  /** When the process started, by its own clock: for people who look. */
  readonly startedMs: number;
  /** Takes nobody for dead: the directory itself was silent a moment ago, and the others may be about to beat. */
  readonly spares?: boolean;
}

export interface NodeBeatReply {
  readonly now: number;
  /** False when the directory did not know the node. */
  readonly known: boolean;
  /** When the process started that beat under this id before, by its own clock; null: nobody did. */
  readonly startedBefore: number | null;
  /** False when it has no list of the node's routes: `enterRoutes` again if there are any. */
  readonly routesKnown: boolean;
  /** How many other nodes are known to live. */
  readonly others: number;
  /** The directory's clock was set forward by so much; 0: it was not. Then nobody is dead, and what lapses by itself may have. */
  readonly jumpedMs: number;
  /** Nodes that stopped beating and are now this caller's, and only this caller's, to clean up after. */
  readonly dead: readonly string[];
}

/** All transitions; what a `ClusterMember` runs on. */
export interface Directory extends StartDirectory {
  /** Calls back on each change of `connected`. */
  onConnected(callback: (connected: boolean) => void): void;

  /** The directory has lost everything. The next two beats make it whole; until then no start is planned. */
  noteLoss(): Promise<void>;
  /** The node lives. */
  beatNode(beat: NodeBeat): Promise<NodeBeatReply>;
  /** Notes that the node has something at `routes`: where others clean up if it dies. Before the first transition there. */
  /** All that is declared, deletions included. */
  declarations(): Promise<StoredDeclarations>;
  /**
   * Gives back what the directory does not have; it takes what is newer than its own, and the name `cluster` if it has none. `known.cluster`: null
   * where the node has just made up that name. False: it belongs to another cluster.
   */
  restore(cluster: string, known: Declarations): Promise<boolean>;
  enterRoutes(node: string, routes: readonly string[]): Promise<void>;
  /** The routes at which the node has something registered. */
  routesOf(node: string): Promise<readonly string[]>;
  /** Removes the node from the list of nodes. Its routes are left one by one, before. */
  removeNode(node: string): Promise<void>;

  /** Registers and removes held clients, then looks for slots. Without `add` and `remove` it is the sweep. */
  hold(route: string, node: Peer, change: HoldChange): Promise<HoldReply>;
  /** `idle` slots lie at the node: promises them to the oldest clients elsewhere. */
  offer(route: string, node: Peer, idle: number): Promise<Matched>;
  /**
   * `count` slots promised to `asker` can't come from the node `from`, which has `idle` left: they are no longer promised,
   * and a search goes on without that node. The answer's `waiting` and `oldestHere` are the asker's.
   */
  short(route: string, from: string, asker: string, count: number, idle: number): Promise<Matched>;
  /** Says what the node has at the route; the first such call registers it. */
  beatRoute(route: string, node: Peer, beat: RouteBeat): Promise<RouteBeatReply>;
  /** Removes all that the node has at the route; with `onlyDead`, only if it has really stopped beating there. */
  leaveRoute(route: string, node: string, onlyDead: boolean): Promise<void>;
  /** Makes the instance `draining` if at least `minInstances` ready ones remain. True also when it is draining already. */
  retire(route: string, node: string, instance: string, minInstances: number): Promise<boolean>;
  /** Is any instance of the route linked? */
  linked(route: string): Promise<boolean>;
}

/** To one node. */
export type Ring =
  /** Slots lie at the rung node that are promised to `asker`. */
  | { readonly t: 'want'; readonly route: string; readonly count: number; readonly asker: Peer }
  /** Slots promised to the rung node are on their way from `from`. */
  | { readonly t: 'coming'; readonly route: string; readonly count: number; readonly from: string }
  /** Slots promised to the rung node will not come, and no others were found: look again. */
  | { readonly t: 'look'; readonly route: string }
  /** Somebody wants the rung node to drain; with `delayMs`, to serve on for so long before. */
  | { readonly t: 'leave'; readonly delayMs?: number };

export function leaveRing(delayMs: number | undefined): Ring {
  return delayMs === undefined ? { t: 'leave' } : { t: 'leave', delayMs };
}

/** Clients of `route` are held at `node` and no idle slot is known. Times are the directory's. */
export interface DemandNotice {
  readonly route: string;
  readonly node: string;
  /** When the oldest of them arrived. */
  readonly oldest: number;
  /** When the search ended in vain. */
  readonly saidAt: number;
}

export interface BellListener {
  onRing(ring: Ring): void;
  onDemand(notice: DemandNotice): void;
  onRoutesChanged(): void;
}

/** Messages between nodes. They may be lost: nothing may depend on one alone. */
export interface Bell {
  /** Begins to deliver what is rung for `node` and for all. */
  listen(node: string, listener: BellListener): Promise<void>;
  /** True unless it is certain that nobody listens as `node`: that node is dead or cut off. */
  ring(node: string, ring: Ring): Promise<boolean>;
  demand(notice: DemandNotice): void;
  close(): Promise<void>;
}
