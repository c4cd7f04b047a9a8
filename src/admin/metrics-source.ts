/** What whoever counts has to offer, so that metrics can be read from it. Plain numbers: nothing is called per request. */

export interface HistogramNumbers {
  /** Upper bounds in seconds, ascending. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not accumulated; one more than bounds, the last for what is beyond them. */
  readonly counts: readonly number[];
  /** Seconds, over all observations. */
  readonly sum: number;
}

export interface RouteCounts {
  /** Answers by status code since the start. */
  readonly codes: ReadonlyMap<number, number>;
  readonly hold: HistogramNumbers;
  readonly coldStart: HistogramNumbers;
  /** Where the time of these went, by stage. */
  readonly coldStages?: Readonly<Record<string, HistogramNumbers>>;
}

/** A node's own share of a route: the sum over all nodes is the cluster's number. */
export interface RouteNumbers {
  readonly name: string;
  readonly held: number;
  readonly active: number;
  /** Slots that linkers have lent to this node, idle or in use. */
  readonly slots: number;
  readonly free: number;
  /** Instances that have their home link here. */
  readonly instances: number;
  /** Starts under way. Each node says the cluster's number; absent where it is not known. */
  readonly starting?: number;
  readonly counts: RouteCounts;
}

export interface MetricsSnapshot {
  readonly routes: readonly RouteNumbers[];
  /** Answers, by status code, to requests that belong to no route. */
  readonly unrouted?: ReadonlyMap<number, number>;
  /** Slots moved between nodes, by what came of it. */
  readonly handoffs: Readonly<Record<string, number>>;
  /** Startup commands that this process ran: route → result → how many. */
  readonly startupCommands?: ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** Lines of the access log that found no room; absent without one. */
  readonly accessLogDropped?: number;
  /** Of this process, by where they happened. */
  readonly internalErrors?: Readonly<Record<string, number>>;
  readonly redisCommands: number;
  /** Null when no Redis is configured. */
  readonly redisConnected: boolean | null;
  /** It answers, and refuses to write. */
  readonly redisRefuses?: boolean;
}
