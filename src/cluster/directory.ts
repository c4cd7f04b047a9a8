/**
 * The directory and the bell, as the two implementations (memory, Redis) provide them.
 *
 * Every method of the directory is one atomic transition. All times are the directory's own (ms since the epoch): nodes
 * send ages, never their clocks. A method rejects with `DirectoryUnavailable` when the directory did not answer; whether the
 * transition happened is then unknown, and the caller sends everything again when the directory is back.
 */
import type { RouteRecord } from '../config/route-settings.ts';
import type { EventLog } from '../events/event.ts';
import type { Agents } from './agents.ts';
import type { ClusterSnapshot, InstanceHome, InstanceInfo, MissingNode, NodeLoad, NodeSnapshot, Pause, Peer } from './cluster.ts';
import type { Declarations, StoredDeclarations } from './declarations.ts';
import type { Ask, FirstClient, LineTag, Rank } from './fair-order.ts';
import type { HistoryLog } from './history.ts';
import type { KeyPlaces } from './key-places.ts';
import type { EndedStart, StartFacts, StartFailure, StartPlan, StartTimes } from './starts.ts';
import type { WaitLog } from './waits.ts';

export type { RouteRecord, StartPlan };

/** The directory is not reachable, or did not answer in time. */
export class DirectoryUnavailable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`the directory is unavailable: ${reason}`, options);
    this.name = 'DirectoryUnavailable';
  }
}

/** For the scaler, `status` and `route`, which don't join as a node. */
export interface StartDirectory {
  /** False between a lost connection and the next one. Always true in memory. */
  readonly connected: boolean;
  /** Why the directory refuses to write although it answers; null when it does not. Always null in memory. */
  readonly refusal: string | null;
  /** Commands sent so far, all of them; 0 in memory. */
  readonly commands: number;
  /** Resolves when the directory answers; rejects with `DirectoryUnavailable` after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  /** Closes the connections. Call nothing after it. */
  close(): Promise<void>;

  /**
   * Waits, about two beats, while the directory is known to have lost everything (`noteLoss`): an instance that it forgot must not
   * be started a second time.
   */
  startPlan(route: string): Promise<StartPlan>;
  /**
   * Enters `startIds` among the route's starts; they count as failed after `timeoutMs`. A start ends when an instance links with its id. One
   * command can begin several ids, such as `k3x:1`, `k3x:2`: one of them ends with each new instance that links with `k3x` or with no known id.
   * False, and nothing is entered, when a start began since `plan`, or when the number of ready and starting instances has
   * changed: plan again. So two scalers start no more than one would.
   */
  beginStarts(
    route: string,
    startIds: readonly string[],
    timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    facts?: StartFacts,
  ): Promise<boolean>;
  /**
   * The start is no longer waited for; with `failure`, because it failed. Unknown ids are ignored.
   * @returns whether it was waited for until now: false when it has linked, or was given up
   */
  endStart(route: string, startId: string, failure?: StartFailure): Promise<boolean>;
  /** A failure without a pending start: an instance that was ready and served nobody. Counted once for each `instance`. */
  noteFailure(route: string, reason: string, instance?: string): Promise<void>;
  /** How starts ended that nobody has taken yet: some of them. A scaler counts them, and cleans up after those that failed. */
  endedStarts(route: string): Promise<readonly EndedStart[]>;
  /** Takes them; returns those that nobody else has taken meanwhile. */
  takeEnded(route: string, ended: readonly EndedStart[]): Promise<readonly EndedStart[]>;
  /** Is an instance of this start linked, and not leaving? With `isReady`: and has it been ready for requests? */
  startLinked(route: string, startId: string, isReady?: boolean): Promise<boolean>;
  /** When a start began; null when it is not known. */
  startTimes(route: string, startId: string): Promise<StartTimes | null>;
  /** That many instances are wanted beyond the need of clients. */
  wantInstances(route: string, count: number): Promise<void>;
  /** Marks all present instances as to be replaced. Returns their number. */
  restart(route: string): Promise<number>;

  /** The configured routes. */
  routes(): Promise<ReadonlyMap<string, RouteRecord>>;
  /** The settings of a configured route, or of a route's key; null when it is not configured. */
  route(route: string): Promise<RouteRecord | null>;
  /** Sets or (null) deletes a configured route and tells all nodes. Rejects with `ConfigError` when the settings are invalid. */
  setRoute(route: string, settings: RouteRecord | null): Promise<void>;
  /** Like `setRoute`, but only for a route that was never set or deleted. */
  setRouteOnce(route: string, settings: RouteRecord): Promise<void>;

  /**
   * Pauses a route, or changes for how long: `forMs` from now. Tells all nodes. Null: `pausedRoutesMax` other routes are paused. What it means is the
   * nodes' to do, see pause-barrier.ts.
   */
  pause(route: string, forMs: number, tunnels: Pause['tunnels']): Promise<Pause | null>;
  /** Ends a pause. False: it was not paused. */
  resume(route: string): Promise<boolean>;
  /** The paused routes, and the directory's time. */
  pauses(): Promise<{ readonly now: number; readonly pauses: ReadonlyMap<string, Pause> }>;
  /** The nodes that beat. */
  nodes(): Promise<readonly NodeSnapshot[]>;

  readonly eventLog: EventLog;
  readonly history: HistoryLog;
  readonly waits: WaitLog;
  readonly keyPlaces: KeyPlaces;
  readonly agents: Agents;
  /** Nodes that stopped beating, until they are back or somebody forgets them. */
  missing(): Promise<readonly MissingNode[]>;
  /** This node is missing no longer. False: it was not. */
  forgetMissing(node: string): Promise<boolean>;

  /** Nodes, and all routes that are configured or at which a living node has something registered. */
  snapshot(): Promise<ClusterSnapshot>;
}

/** A held client, as it is registered. */
export interface Hold {
  readonly id: string;
  /** How long it has been held. */
  readonly ageMs: number;
  /** Absent: it asks for nothing, and its age is all that counts. */
  readonly ask?: Ask;
}

/** `count` idle slots that lie at the node `from` are promised to clients held at `to`. */
export interface Move {
  readonly from: string;
  readonly to: Peer;
  readonly count: number;
  /**
   * The directory has told both nodes, except the caller; `unheard`: nobody listens as `from`, which is dead or cut off. Absent: the caller tells them.
   */
  readonly told?: 'heard' | 'unheard';
}

/** The result of a search for idle slots. */
export interface Matched {
  /** The directory's time. */
  readonly now: number;
  /** False when the directory did not know that the calling node has anything at this route: after a loss, all of it must be sent again. */
  readonly known: boolean;
  /** Promises made by this call, for any node. */
  readonly moves: readonly Move[];
  /** The calling node's clients without a promised slot. */
  readonly waiting: number;
  /** Arrival of the oldest of them; null if none. */
  readonly oldestHere: number | null;
  /** Arrival of the oldest unpromised client held at another node; null if none. When many wait, one that is younger than all here may be left out. */
  readonly oldestElsewhere: number | null;
  /** Starts keep failing, and no instance is there or on its way: clients should not wait for this time. 0: they may wait. */
  readonly failingMs: number;
  /** The calling node's first client in the order, and the first one elsewhere, as far as they are among those who are next; absent: nobody asks for anything. */
  readonly firstHere?: FirstClient | null;
  readonly firstElsewhere?: FirstClient | null;
}

export interface HoldChange {
  /** The node's idle slots of the route. */
  readonly idle: number;
  /** Clients that are served through the node; absent: unchanged. */
  readonly serving?: number | undefined;
  /** Oldest first. Already registered ones keep their place. */
  readonly add: readonly Hold[];
  /** Removed before `add` is entered; unknown ones are ignored. */
  readonly remove: readonly string[];
  /** Limit of the route's held clients in the whole cluster; null accepts all of `add`, because they were accepted before. */
  readonly maxHeld: number | null;
  /** Forget all earlier holds of this node: `add` is the new list. */
  readonly reset: boolean;
  /** Lines of clients here, and the service that they have got since the last call: the reply says their tags. Absent: none. */
  readonly lines?: readonly LineService[];
  /** Clients here whose slots are brought together at this node: until PROMISE_MS later they are searched none. */
  readonly gathers?: readonly string[];
}

export interface LineService {
  /** See `lineKey`. */
  readonly key: string;
  readonly units: number;
}

export interface HoldReply extends Matched {
  /** The holds of `add` beyond `maxHeld`. */
  readonly refused: readonly string[];
  /** Those of `lines` that are known. */
  readonly tags?: readonly LineTag[];
  /** Less urgent clients that are held no longer, since there was no room for more urgent ones. */
  readonly putOut?: readonly { readonly node: string; readonly id: string }[];
}

/** A node's part at a route, sent with each beat. */
export interface RouteBeat {
  readonly idle: number;
  /** Clients that are served through the node; absent: none. */
  readonly serving?: number;
  readonly instances: readonly InstanceBeat[];
  /** Instances that have left this node; instances with a new home elsewhere stay. */
  readonly gone: readonly string[];
  /** The reply is to say `largest`. */
  readonly asksLargest?: boolean;
  /** The reply is to say `ready`. */
  readonly asksReady?: boolean | undefined;
  /** The node has had nothing new to say here for a while. It sends the next beat when the route's revision moves, or after REST_BEAT_MAX_MS. */
  readonly rests?: boolean;
}

export interface InstanceBeat {
  readonly id: string;
  /** The instance, if it has changed since the last beat; else null. */
  readonly info: InstanceInfo | null;
  /** The instance has just linked here: it belongs to this node from now on. */
  readonly claim: boolean;
}

export interface RouteBeatReply {
  readonly now: number;
  /** See `Matched`. */
  readonly known: boolean;
  /** See `revisions`. */
  readonly revision: string;
  /** How many clients the directory has as held at this node. */
  readonly held: number;
  /** And how many as held at others: messages about them may have been lost. */
  readonly heldElsewhere: number;
  /** Instances that the directory does not know: send them in full. */
  readonly missing: readonly string[];
  /** Instances that were sent with the number 0, or have just linked, and their numbers. */
  readonly numbered?: readonly (readonly [id: string, seq: number])[];
  /** Instances whose start was given up, and for which there is no place any more: they are draining. */
  readonly turnedAway?: readonly string[];
  /** The newest ready instance of the route in the cluster; null if none is ready. */
  readonly newest: string | null;
  /** The home of that instance. */
  readonly newestNode: string | null;
  /** Starts in progress in the cluster, as in `StartPlan`. */
  readonly starting: number;
  /** As many slots as an instance may have at most; null: none is there. Absent: nobody asked. */
  readonly largest?: number | null;
  /** The ready instances, without those that are to be replaced while others are there; the newest of very many. Absent: nobody asked. */
  readonly ready?: readonly InstanceHome[];
}

export interface NodeBeat extends NodeLoad {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  /** When the process started, by its own clock; for people. */
  readonly startedMs: number;
  /** Takes no node for dead: the directory itself was silent a moment ago, and the others may be about to beat. */
  readonly spares?: boolean;
}

export interface NodeBeatReply {
  readonly now: number;
  /** False when the directory did not know the node. */
  readonly known: boolean;
  /** The start time, by its own clock, of the process that sent a beat with this id before; null: none did. */
  readonly startedBefore: number | null;
  /** False when it has no list of the node's routes: `enterRoutes` again if there are any. */
  readonly routesKnown: boolean;
  /** How many other nodes are known to live. */
  readonly others: number;
  /** All nodes know that some rest. One of an earlier version takes them for dead: then nobody rests. */
  readonly mayRest: boolean;
  /** How far the directory's clock was set forward; 0: it was not. If it was, no node is dead, and entries may have expired. */
  readonly jumpedMs: number;
  /** Nodes that stopped beating. They are off the list: only this caller cleans up after them. */
  readonly dead: readonly string[];
}

/** All transitions, for a `ClusterMember`. */
export interface Directory extends StartDirectory {
  /** It is in Redis, not in this process. */
  readonly isRemote: boolean;
  /** Calls back on each change of `connected`. */
  onConnected(callback: (connected: boolean) => void): void;

  /** The directory has lost everything. It is complete again after two beats; until then no start is planned. */
  noteLoss(): Promise<void>;
  /** Forgets the pause if its time is over. */
  forgetPause(route: string): Promise<void>;
  /** The node lives. */
  beatNode(beat: NodeBeat): Promise<NodeBeatReply>;
  /** Notes that the node has entries at `routes`, so that others clean up there if it dies. Call it before the first transition there. */
  /** All declarations, deletions included. */
  declarations(): Promise<StoredDeclarations>;
  /**
   * Gives declarations back. The directory accepts those that are newer than its own, and the name `cluster` if it has none. `known.cluster`: null
   * when the node has just made up that name. False: the directory belongs to another cluster.
   */
  restore(cluster: string, known: Declarations): Promise<boolean>;
  enterRoutes(node: string, routes: readonly string[]): Promise<void>;
  /** The routes at which the node has something registered. */
  routesOf(node: string): Promise<readonly string[]>;
  /** Removes the node from the list of nodes. Its routes are left one by one, before. */
  removeNode(node: string): Promise<void>;
  /** The node stopped beating: it is missing until it is back or forgotten. Returns what it had when it was heard last. */
  noteMissing(node: string): Promise<MissingNode>;

  /** Registers and removes held clients, then looks for slots. Without `add` and `remove` it is the sweep. */
  hold(route: string, node: Peer, change: HoldChange): Promise<HoldReply>;
  /**
   * `idle` slots lie at the node: promises them to the oldest clients elsewhere. `anew`: promises that were made longer than PROMISE_HEARD_MS ago end
   * first, because the messages about them are lost.
   */
  offer(route: string, node: Peer, idle: number, anew?: boolean): Promise<Matched>;
  /**
   * `count` slots promised to `asker` can't come from the node `from`, which has `idle` left: the promises end,
   * and a search goes on without that node. `waiting` and `oldestHere` of the reply are the asker's. `caller`: the node that says so, by default `from`.
   */
  short(route: string, from: string, asker: string, count: number, idle: number, caller?: string): Promise<Matched>;
  /** Writes what the node has at the route; the first call registers it. */
  beatRoute(route: string, node: Peer, beat: RouteBeat): Promise<RouteBeatReply>;
  /**
   * The revision of each route, null where the directory has none. It moves when something has changed that a beat's reply says, or that the calling node
   * may have to set right: instances, starts, clients that are held, entries that were lost.
   */
  revisions(routes: readonly string[]): Promise<readonly (string | null)[]>;
  /** Removes all that the node has at the route; with `onlyDead`, only if it has really stopped beating there. False: it has not, and its entries are still there. */
  leaveRoute(route: string, node: string, onlyDead: boolean): Promise<boolean>;
  /** Whether the node is on the list of nodes. */
  isListed(node: string): Promise<boolean>;
  /** Makes the instance `draining` if at least `minInstances` ready ones remain. True also when it is draining already. */
  retire(route: string, node: string, instance: string, minInstances: number): Promise<boolean>;
  /** Is any instance of the route linked? */
  linked(route: string): Promise<boolean>;
}

/** Messages to one node. */
export type Ring =
  /** The rung node has slots that are promised to `asker`. */
  | { readonly t: 'want'; readonly route: string; readonly count: number; readonly asker: Peer; readonly instance?: string }
  /** Slots promised to the rung node are on their way from `from`. */
  | { readonly t: 'coming'; readonly route: string; readonly count: number; readonly from: string }
  /** Slots promised to the rung node will not come, and no others were found: search again. */
  | { readonly t: 'look'; readonly route: string }
  /** A client of the rung node was put out for a more urgent one. */
  | { readonly t: 'out'; readonly route: string; readonly id: string }
  /** A start is given to an agent that is linked at the rung node. */
  | { readonly t: 'start'; readonly route: string; readonly startId: string; readonly agent: string }
  /** The rung node should drain; with `delayMs`, after serving on for that time. */
  | { readonly t: 'leave'; readonly delayMs?: number }
  /** The rung node should read its configuration anew. */
  | { readonly t: 'reload' };

export function leaveRing(delayMs: number | undefined): Ring {
  return delayMs === undefined ? { t: 'leave' } : { t: 'leave', delayMs };
}

/** Clients of `route` are held at `node` and no idle slot is known. Times are the directory's. */
export interface DemandNotice {
  readonly route: string;
  readonly node: string;
  /** Arrival of the oldest of them, or of the first one in the order. */
  readonly oldest: number;
  /** When the search ended in vain. */
  readonly saidAt: number;
  /** The first of them in the order; absent: nobody asks for anything. */
  readonly rank?: Rank;
}

export interface BellListener {
  onRing(ring: Ring): void;
  onDemand(notice: DemandNotice): void;
  onRoutesChanged(): void;
}

/** Messages between nodes. They may be lost, so nothing may depend on a single one. */
export interface Bell {
  /** Begins to deliver messages for `node` and for all nodes. */
  listen(node: string, listener: BellListener): Promise<void>;
  /** False when certainly nothing listens as `node`: that node is dead or cut off. */
  ring(node: string, ring: Ring): Promise<boolean>;
  demand(notice: DemandNotice): void;
  close(): Promise<void>;
}
