import type { ClusterSnapshot } from '../cluster/cluster.ts';
import type { RouteRecord } from '../config/route-settings.ts';
import type { MetricsSnapshot } from './metrics-source.ts';

/** `/api/v1/state`. */
export interface AdminState extends ClusterSnapshot {
  /** The id of the node that answers; null when it is no node. */
  readonly node: string | null;
  readonly redis: {
    /** Null when no Redis is configured. */
    readonly connected: boolean | null;
  };
}

/**
 * What an admin server shows and changes. A rejection with `DirectoryUnavailable` is answered with 503, one with
 * `ConfigError` with 400.
 */
export interface AdminSource {
  state(): Promise<AdminState>;
  metrics(): Promise<MetricsSnapshot>;
  readonly draining: boolean;
  /** Null when no Redis is configured. */
  readonly redisConnected: boolean | null;
  /** Begins to leave; repeated calls do nothing. */
  drain(): void;
  setRoute(name: string, settings: RouteRecord): Promise<void>;
  deleteRoute(name: string): Promise<void>;
  /** Asks for one more instance. `impossible`: nothing here can start one. */
  start(name: string): Promise<'asked' | 'unknown' | 'impossible'>;
}
