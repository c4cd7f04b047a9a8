/**
 * The interface between a node and the cluster.
 *
 * The cluster is a directory and a bell: it knows which clients are held where and at which node idle slots lie, and it
 * rings the node that can act. It never decides who owns a slot; the node where the slot lies does.
 * No call blocks the data path: calls that return void are batched and repeated until the directory has them.
 */
import type { RouteSettings } from '../config/route-settings.ts';
import type { EventLog } from '../events/event.ts';
import type { AgentSnapshot, NodeAgents, RouteAgents, WithAgents } from './agents.ts';
import type { Ask, LineTag, Rank } from './fair-order.ts';
import type { HistoryLog, WaitCounts } from './history.ts';
import type { KeyPlace, KeyPlaces } from './key-places.ts';
import type { StartTimes, StartTrouble } from './starts.ts';
import type { Estimated } from './wait-estimate.ts';
import type { WaitLog } from './waits.ts';

export type { AgentSnapshot, KeyPlace, RouteAgents, StartTimes, WaitCounts };

/** Where an instance is at home. */
export interface InstanceHome {
  readonly id: string;
  readonly node: string;
}

export interface Peer {
  readonly id: string;
  /** HOST:PORT at which linkers (and relaying nodes) reach the node's backend port. */
  readonly address: string;
}

/** `paused`: it is ready, and its application takes nothing now: its limit is 0. */
export type InstanceState = 'starting' | 'ready' | 'paused' | 'draining';

/** The source of an instance's limit. */
export type LimitSetter = 'flag' | 'header' | 'control' | 'auto';

export interface InstanceInfo {
  readonly id: string;
  /** Larger is newer. 0: the directory will give it a number, larger than that of every earlier instance of its route. */
  readonly seq: number;
  /** Its limit now. */
  readonly concurrency: number;
  /** Its limit may become as much; undefined: it stays as it is. */
  readonly most?: number | undefined;
  /** Undefined when its linker does not say it (0.1). */
  readonly setBy?: LimitSetter;
  readonly state: InstanceState;
  /** Requests (or connections) in the instance now, over all its links. */
  readonly active: number;
  /** Set when a startup job began the instance: its linking ends that start. */
  readonly startId?: string;
  /** The linker's version. */
  readonly version?: string;
  /** So many instances its route may have: with it, one whose start was given up is turned away when they are there. */
  readonly placesMax?: number;
  /** Never more than that, those that leave included: an instance that comes when they are there is turned away. */
  readonly placesAreStrict?: boolean;
  /** It has completed a response; undefined when its linker does not say it (0.1). */
  readonly answered?: boolean;
  /** With `draining`: its application ended by itself, and how. */
  readonly failure?: string;
}

/** The cluster's calls to the node. Called synchronously from the cluster's event loop turn; must not throw. */
export interface ClusterListener {
  /** `asker` holds `count` clients of `route` and this node has idle slots: move up to `count` there. Report slots that can't be moved with `short`. `instance`: only its slots, and nothing was promised. */
  onWant(route: string, count: number, asker: Peer, instance?: string): void;
  /** `from` moves `count` slots of `route` to this node. For information only: the slots themselves come as grants. */
  onComing(route: string, count: number, from: string): void;
  /** The cluster-wide limit of held clients is reached: this hold was not registered. */
  onHoldRefused(route: string, holdId: string): void;
  /** The directory's facts about lines of clients that are held here; `since`: the service here that it does not know yet. */
  onLines?(route: string, tags: readonly LineTag[], since: (key: string) => number): void;
  /** Slots of `route` that lie idle here may have been kept back for an older client elsewhere (`olderElsewhere`), who does not need them now: match them with the clients held here. */
  onRematch?(route: string): void;
  /** As many slots as an instance of `route` may have at most; null: none is there. Said once clients here have cost more than one. */
  onLargest?(route: string, largest: number | null): void;
  /** Whether the node wants to know the ready instances of `route`: `onReady` says them with each beat, without those that are to be replaced while others are there. */
  asksReady?(route: string): boolean;
  onReady?(route: string, ready: readonly InstanceHome[]): void;
  /** Clients of `route` are held at this node and no idle slot is known anywhere. Repeated while that lasts, at most once in 50 ms and route. */
  onStartNeeded(route: string): void;
  /** Starts of `route` keep failing, and no instance is there or on its way: no client should wait for `forMs`. Repeated while clients are held nevertheless. */
  onStartsFailing?(route: string, forMs: number): void;
  /** The directory has entered an instance that has linked at this node, its home: `seq`, the same at all nodes from now on. */
  onNumbered?(route: string, instanceId: string, seq: number): void;
  /** All places are taken, and the start of an instance that has its home here was given up, or its places are strict: it is told to end, and is draining. */
  onTurnedAway?(route: string, instanceId: string): void;
  onNewest(route: string, instanceId: string): void;
  /** The configured routes changed; `routes` is the whole set. */
  onRoutes(routes: ReadonlyMap<string, RouteSettings>): void;
  /** The paused routes, the whole set. Called with each reading of the configured routes. */
  onPauses?(pauses: ReadonlyMap<string, KnownPause>): void;
  onConnected(connected: boolean): void;
  /** A scaler gives the start to an agent that is linked here. */
  onStartGiven?(route: string, startId: string, agent: string): void;
  /** An operator asked this node to leave, at another node. */
  onLeaveAsked?(delayMs?: number): void;
  /** An operator asked this node to read its configuration anew. */
  onReloadAsked?(): void;
}

/** Numbers that a node writes about itself with each beat. */
export interface NodeLoad {
  readonly held: number;
  readonly active: number;
  readonly links: number;
  /** It is leaving. */
  readonly draining?: boolean;
  /** All waits, over all routes. */
  readonly holds?: WaitCounts;
  /** Those waits that began while no instance was ready. */
  readonly coldStarts?: WaitCounts;
  /** The paused routes that it knows; absent: none. */
  readonly paused?: readonly PausedHere[] | undefined;
  /** Routes that answered with 5xx in the last half minute, the worst first; absent: none. */
  readonly failing?: readonly RouteResponses[];
  /** Its overloaded routes, those first whose clients wait for the shortest time; absent: none. */
  readonly overloaded?: readonly OverloadedHere[] | undefined;
}

/** An overloaded route, as one node sees it. */
export interface OverloadedHere {
  readonly route: string;
  /** Nobody waits for longer. */
  readonly waitMs: number;
}

/** Answers of a route in the last half minute. */
export interface RouteResponses {
  readonly route: string;
  readonly all: number;
  /** Those with 5xx. */
  readonly failed: number;
}

export interface Cluster {
  readonly self: Peer;
  readonly connected: boolean;
  /** The directory is in Redis, not in this process. */
  readonly isRemote: boolean;
  /** The directory has answered since the node started, and has said which routes are configured. */
  readonly joined: boolean;
  /** Why the directory refuses to write although it answers; null when it does not. */
  readonly refusal: string | null;
  /** Commands sent to the directory so far (0 in memory): the warm path must not move it. */
  readonly commands: number;

  /** Joins: registers the node, loads the configured routes, begins to beat. `load` is read at each beat. */
  start(listener: ClusterListener, load: () => NodeLoad): Promise<void>;
  /** Tells that `load` has changed in a way that others wait for: a beat follows soon. */
  beatSoon(): void;
  /** The pause of the route is over by its time. */
  pauseLapsed(route: string): void;
  /** Leaves: everything that this node registered is gone from the directory when it resolves. */
  stop(): Promise<void>;

  /**
   * A client of `route` is held here since `heldMs`. The cluster looks for an idle slot elsewhere, and keeps looking until `unhold`. `ask`: what it
   * asks for, if its route looks at that. Held again, it has a new ask.
   */
  hold(route: string, holdId: string, heldMs: number, maxHeld: number, ask?: Ask): void;
  /** The hold is over: served, gone or refused. */
  unhold(route: string, holdId: string): void;
  /** A client of that line has got `units` of service, see `Ask`. */
  charge(route: string, line: string, units: number): void;

  /**
   * How many idle slots of `route` lie here now (a level, not a change). Cheap: written to the directory with the next beat,
   * and at once while clients of the route are known to be held elsewhere. `served`: clients that are served through this node now.
   */
  idle(route: string, count: number, served?: number): void;
  /**
   * True while another node is known to hold a client of `route` that goes before one that has waited here for `heldMs`: one that is older by more than
   * the set age, or with `rank`, by the order of ranks.
   */
  olderElsewhere(route: string, heldMs: number, rank?: Rank): boolean;
  /** `count` of the slots promised to `asker` (by a want) can't be moved: they are free for a new search, without this node. */
  short(route: string, count: number, asker: Peer): void;

  /**
   * Asks the home node of the newest instance, or the one that is said, to move up to `count` idle slots here, those of `instance` only. Promises nothing.
   */
  pull(route: string, count: number, instance?: { readonly id: string; readonly node?: string }): void;

  /**
   * Whether an instance of `route` is ready anywhere, as of the last second. Asks the directory at most once in that time. False when it
   * does not answer.
   */
  isAwake(route: string): Promise<boolean>;

  /** The instance has its home link at this node; repeated calls update it. */
  instance(route: string, info: InstanceInfo): void;
  /** The instance's home link to this node is gone. */
  instanceGone(route: string, instanceId: string): void;
  /** May the instance leave? False when that would leave fewer than `minInstances` ready ones, or when the directory does not answer. Once true, it is `draining`. */
  mayRetire(route: string, instanceId: string, minInstances: number): Promise<boolean>;

  /** An instance of `route` was ready, and failed every request. Counted once for each instance. */
  instanceFailed(route: string, instanceId: string, reason: string): void;
  /** Starts of `route` in progress in the cluster, as of the last beat; undefined while this node has nothing at the route. Sends nothing. */
  starting(route: string): number | undefined;
  /** When the start of an instance was begun; null when the directory does not say. */
  startTimes(route: string, startId: string): Promise<StartTimes | null>;

  /** The first of these names (most specific first) for which an instance is linked anywhere; null if none. Bounded and cached. */
  linkedRoute(names: readonly string[]): Promise<string | null>;
  /** Sets (or with null deletes) a configured route for the whole cluster. */
  setRoute(route: string, settings: Readonly<Record<string, unknown>> | null): Promise<void>;

  /** Asks a node, this one included, to drain. False when certainly no node has this name. */
  askToLeave(node: string, delayMs?: number): Promise<boolean>;
  /** A missing node does not come back. False: it is not missing. */
  forgetNode(node: string): Promise<boolean>;
  readonly eventLog: EventLog;
  readonly history: HistoryLog;
  readonly waits: WaitLog;
  /** The directory's time in ms, as far as it is known here; null: it has not said it yet. */
  readonly now: number | null;
  readonly routePauses: RoutePauses;
  readonly keyPlaces: KeyPlaces;
  readonly agents: NodeAgents;

  snapshot(): Promise<ClusterSnapshot>;
}

export interface InstanceSnapshot {
  readonly id: string;
  readonly seq: number;
  /** Its limit now, and what has set it. */
  readonly concurrency: number;
  readonly setBy?: LimitSetter;
  readonly active: number;
  readonly node: string;
  readonly state: InstanceState;
  /** The linker's version. */
  readonly version?: string;
  /** The key for which it is, where keys are folded under their route. */
  readonly key?: string;
}

/** A start whose instance has not linked yet. */
export interface StartSnapshot {
  readonly id: string;
  /** Since it was begun. */
  readonly ageMs: number;
  /** Until it counts as failed. */
  readonly leftMs: number;
}

export interface RouteSnapshot extends Estimated, WithAgents {
  readonly name: string;
  readonly held: number;
  /** How long the oldest held client has waited; 0 when none is held. */
  readonly oldestHeldMs: number;
  readonly active: number;
  /** Sum of the concurrency of ready instances. */
  readonly slots: number;
  readonly free: number;
  /** `starts`, and instances that are linked and not ready yet. */
  readonly starting: number;
  /** Oldest first; only the oldest if there are very many. */
  readonly starts: readonly StartSnapshot[];
  readonly instances: readonly InstanceSnapshot[];
  /** As they are stored; null when the route is not configured. */
  readonly settings: Readonly<Record<string, unknown>> | null;
  /** Its last starts have failed; null when the last one has not. */
  readonly trouble: StartTrouble | null;
  /** Null: it is not paused. */
  readonly paused: PausedRoute | null;
  /** Null: it is not overloaded. */
  readonly overload: RouteOverload | null;
  /** Of a route with keys, where they are folded under it: how many are awake, and the first of them. */
  readonly keysAwake?: number;
  readonly keys?: readonly KeySnapshot[];
}

/** Clients come faster than they are served, and leave: who would wait for too long is refused. */
export interface RouteOverload {
  /** Nobody waits for longer; where nodes say different times, the shortest one. */
  readonly waitMs: number;
}

export interface KeySnapshot {
  readonly key: string;
  readonly held: number;
  readonly active: number;
  readonly slots: number;
  readonly starting: number;
  readonly instances: number;
}

/** A paused route, as it is declared: see pauses.ts. Times are the directory's, in ms since the epoch. */
export interface Pause {
  /** The version of the declaration: a later pause has a larger one. */
  readonly id: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Whether a pause waits for the end of WebSockets and TCP connections, too. */
  readonly tunnels: 'wait' | 'ignore';
}

/** The same for a node. */
export interface KnownPause {
  readonly id: number;
  /** From its beginning to its end, and until its end. */
  readonly forMs: number;
  readonly leftMs: number;
}

/** A node's report about a route that it knows to be paused. */
export interface PausedHere {
  readonly route: string;
  readonly id: number;
  /** Requests and connections in the application, through this node. Once it is 0 it stays so until the pause ends. */
  readonly inFlight: number;
  /** Those of them that are WebSockets or TCP connections. */
  readonly tunnels: number;
}

export interface PauseOptions {
  readonly forMs: number;
  /** How long it waits until nothing is in flight; the pause stays whatever comes of it. */
  readonly waitMs: number;
  readonly tunnels: Pause['tunnels'];
}

export interface StillInFlight {
  /** A node, or empty: no node says through whom. */
  readonly node: string;
  /** `unheard`: the node does not know the pause yet, as far as it has said. `silent`: it stopped beating a moment ago. */
  readonly why: 'in flight' | 'unheard' | 'silent';
  readonly count: number;
}

export interface PauseOutcome {
  readonly pause: Pause;
  /** Empty: nothing is in flight. */
  readonly still: readonly StillInFlight[];
  /** WebSockets and TCP connections that go on, where they are ignored. */
  readonly tunnels: number;
}

/** For an operator. */
export interface RoutePauses {
  /** Resolves when nothing of the route is in flight, or after `waitMs`. `unknown`: no route has this name. `too_many`: so many are paused already. */
  pause(route: string, options: PauseOptions): Promise<PauseOutcome | 'unknown' | 'too_many'>;
  /** False: it was not paused. */
  resume(route: string): Promise<boolean>;
}

/** A pause as people see it. */
export interface PausedRoute {
  /** For how long it has been paused, and for how long it stays so. */
  readonly sinceMs: number;
  readonly leftMs: number;
  /** Requests and connections that are still in the application, over all nodes. */
  readonly inFlight: number;
}

type SaidIfAny = 'failing' | 'paused' | 'overloaded';

export interface NodeSnapshot extends Required<Omit<NodeLoad, SaidIfAny>>, Pick<NodeLoad, SaidIfAny> {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  readonly heartbeatAgeMs: number;
}

/** One consistent state for each route, as `/api/v1/state` and `pullproxy status` show it. */
export interface ClusterSnapshot {
  readonly nodes: readonly NodeSnapshot[];
  readonly routes: readonly RouteSnapshot[];
  /** Recent findings in the directory that could not be used: they were moved aside or removed. Absent in memory. */
  readonly aside?: readonly {
    /** A key, or a key and an entry. */
    readonly where: string;
    readonly what: string;
    /** ms since the epoch, by the clock of the process that found it. */
    readonly at: number;
  }[];
  readonly missing?: readonly MissingNode[];
}

/** A node that stopped beating and did not come back. */
export interface MissingNode {
  readonly id: string;
  /** Where its backend port was; empty when nobody knows. */
  readonly address: string;
  /** When it was noticed, ms since the epoch, by the directory's clock; and how long ago that is. */
  readonly since: number;
  readonly ageMs: number;
  /** Its part at routes when it was heard last. */
  readonly held: number;
  readonly active: number;
  readonly links: number;
}
