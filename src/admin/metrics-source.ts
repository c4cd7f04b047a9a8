/** The numbers from which metrics are made. Plain numbers: nothing is called for each request. */

export interface HistogramNumbers {
  /** Upper bounds in seconds, ascending. */
  readonly bounds: readonly number[];
  /** Observations in each bucket, not cumulative; one more than bounds, the last for values beyond all bounds. */
  readonly counts: readonly number[];
  /** Seconds, over all observations. */
  readonly sum: number;
}

/** The instance that was preferred served the request, another one did, or it is not there any more. */
export type AffinityResult = 'hit' | 'miss' | 'gone';

export interface RouteCounts {
  /** Responses by status code since the start. */
  readonly codes: ReadonlyMap<number, number>;
  readonly hold: HistogramNumbers;
  readonly coldStart: HistogramNumbers;
  /** Of clients that were served: how long each was expected to wait when it came, and by which share of its wait that was wrong. */
  readonly estimates?: HistogramNumbers;
  readonly estimateErrors?: HistogramNumbers;
  /** From the request to the end of its response. */
  readonly requests?: HistogramNumbers;
  /** The time of cold starts by stage. */
  readonly coldStages?: Readonly<Record<string, HistogramNumbers>>;
  /** Changes of instances' limits, by who has set them. */
  readonly limitChanges?: ReadonlyMap<string, number>;
  /** Requests that prefer an instance, by result. */
  readonly affinity?: Readonly<Record<AffinityResult, number>>;
  /** Words of applications about their limits that mean nothing. */
  readonly wordsIgnored?: number;
  /** Answers of agents that are linked here to starts, by kind; absent: none. */
  readonly agentStarts?: ReadonlyMap<string, number>;
  /** Clients that were refused because of an overload. */
  readonly overloadRefused?: number;
}

/** A node's own share of a route: the sum over all nodes is the cluster's number. */
export interface RouteNumbers {
  readonly name: string;
  readonly held: number;
  readonly active: number;
  /** Slots that linkers have lent to this node, idle or in use. */
  readonly slots: number;
  readonly free: number;
  /** Absent: false. */
  readonly paused?: boolean;
  /** How long clients wait at most in an overload; 0: there is none. Absent: no client has left while it was held. */
  readonly overloadMs?: number;
  /** Instances that have their home link here. */
  readonly instances: number;
  /** Agents that are linked here, with the room and the instances of all of them. Absent: none are. */
  readonly agents?: { readonly count: number; readonly room: number; readonly running: number };
  /** Starts in progress. Each node has the number of the whole cluster; absent when it is not known. */
  readonly starting?: number;
  readonly counts: RouteCounts;
}

export interface MetricsSnapshot {
  readonly routes: readonly RouteNumbers[];
  /** Responses by status code to requests without a route. */
  readonly unrouted?: ReadonlyMap<number, number>;
  /** Slots moved between nodes, by result. */
  readonly handoffs: Readonly<Record<string, number>>;
  /** Startup commands that this process ran: route → result → how many. */
  readonly startupCommands?: ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** Starts that ended, as this process has counted them: route → outcome → how many. */
  readonly starts?: ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** How fast starts begin in the whole cluster, and the startup jobs that wait; absent when that is not known. */
  readonly startRate?: { readonly perSecond: number; readonly waiting: number; readonly oldestMs: number };
  /** Lines of the access log without room; absent without an access log. */
  readonly accessLogDropped?: number;
  /** Internal errors of this process, by place. */
  readonly internalErrors?: Readonly<Record<string, number>>;
  /** Warnings and errors of this process: `LEVEL CODE` → how many. */
  readonly events?: Readonly<Record<string, number>>;
  /** File of a certificate → when it expires, ms since the epoch. */
  readonly certificates?: ReadonlyMap<string, number>;
  readonly redisCommands: number;
  /** Null when no Redis is configured. */
  readonly redisConnected: boolean | null;
  /** Redis answers, but refuses to write. */
  readonly redisRefuses?: boolean;
}
