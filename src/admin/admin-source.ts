import type { InternalErrors } from '../boundary.ts';
import type { ClusterSnapshot, RoutePauses } from '../cluster/cluster.ts';
import type { HistoryRead } from '../cluster/history.ts';
import type { RouteRecord } from '../config/route-settings.ts';
import type { ClusterEvent } from '../events/event.ts';
import type { JobChange, StartupJobs } from '../scaling/startup-job.ts';
import type { MetricsSnapshot } from './metrics-source.ts';
import type { ReloadReport } from './reload-report.ts';

/** The state as the directory has it; while the directory is away, as the answering node knows itself. */
export interface ClusterState extends ClusterSnapshot {
  /** The id of the node that answers; null when the process is not a node. */
  readonly node: string | null;
  readonly redis: {
    /** Null when no Redis is configured. */
    readonly connected: boolean | null;
  };
}

/**
 * The data that an admin server shows and changes. A rejection with `DirectoryUnavailable` is answered with 503, one with
 * `ConfigError` with 400.
 */
export interface AdminSource {
  readonly version: string;
  /** Says who starts instances when clients wait: scalers that share the Redis, this process itself, or nobody. */
  readonly startedBy: 'scalers' | 'this process' | 'nobody';
  /** The settings of a route without settings, as users write them. */
  readonly routeDefaults: RouteRecord;
  readonly draining: boolean;
  /** Redis has answered since the process began; true without one. */
  readonly joined: boolean;
  /** Null when no Redis is configured. */
  readonly redisConnected: boolean | null;
  /** Why Redis refuses to write although it answers; null when it does not. */
  readonly redisRefusal: string | null;
  /** Internal errors of this process and its workers, by place. */
  readonly internalErrors: Readonly<Record<string, InternalErrors>>;
  state(): Promise<ClusterState>;
  /** At most `max` startup jobs in each state. Null when they are not known. */
  jobs(max: number): Promise<StartupJobs | null>;
  /** Tries a startup job again, or removes it. `impossible`: there are no such jobs here. */
  changeJob(id: string, change: 'retry' | 'remove'): Promise<JobChange | 'impossible'>;
  /** The events after the one with the id. `isOwn`: the directory is away, and these are what this process could not tell it yet. */
  events(
    after: string | null,
    max: number,
  ): Promise<{ readonly events: readonly ClusterEvent[]; readonly now: number; readonly isOwn: boolean }>;
  /** The counts of all nodes in the last hour; null: at all routes. */
  history(route: string | null): Promise<HistoryRead>;
  /** A missing node does not come back. False: it is not missing. */
  forgetNode(id: string): Promise<boolean>;
  metrics(): Promise<MetricsSnapshot>;
  /** Begins to leave; repeated calls do nothing. With `delayMs` it serves on for so long before, whatever its settings say. */
  drain(delayMs?: number): void;
  /** Asks another node to drain. `impossible`: this process does not reach nodes. */
  drainNode(id: string, delayMs?: number): Promise<'asked' | 'unknown' | 'impossible'>;
  /** Reads the configuration anew. Null: this process reads it only when it starts. */
  readonly reload: (() => Promise<ReloadReport>) | null;
  setRoute(name: string, settings: RouteRecord): Promise<void>;
  deleteRoute(name: string): Promise<void>;
  /** Asks for one more instance. `impossible`: nothing here can start one. */
  start(name: string): Promise<'asked' | 'unknown' | 'impossible'>;
  /** Pauses a route, and resolves when nothing of it is in flight, or `waitMs` have passed. */
  pause: RoutePauses['pause'];
  /** False: it was not paused. */
  resume(name: string): Promise<boolean>;
  /** Replaces every instance by a newer one; resolves with how many. `impossible`: nothing here can start one. */
  restart(name: string): Promise<number | 'impossible'>;
}
