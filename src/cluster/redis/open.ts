import type { Log } from '../../log.ts';
import type { Cluster, Peer } from '../cluster.ts';
import type { DeclarationsKept } from '../declarations.ts';
import type { Bell, Directory, StartDirectory } from '../directory.ts';
import { ClusterMember } from '../member/member.ts';
import { RedisBell } from './bell.ts';
import { RedisConnection } from './connection.ts';
import { RedisDirectory } from './directory.ts';
import { watchRedisHealth } from './health.ts';

/**
 * A node's cluster through Redis, and the directory it uses. `url`: as config/redis-url.ts says. It connects at once; the cluster's
 * `stop` closes it.
 */
export function createRedisCluster(options: {
  readonly url: string;
  readonly self: Peer;
  readonly version: string;
  readonly log: Log;
  readonly kept?: DeclarationsKept | undefined;
}): {
  cluster: Cluster;
  directory: Directory;
} {
  const { url, self, version, log, kept } = options;
  const connection = new RedisConnection(url, log);
  const directory = new RedisDirectory(connection);
  watchRedisHealth(connection, log);
  return { cluster: new ClusterMember({ self, version, log, kept, directory, bell: new RedisBell(connection, log) }), directory };
}

/** Rings nodes, for processes that are no nodes. It connects at once; `close` ends that. */
export function createRedisBell(options: {
  readonly url: string;
  readonly log: Log;
}): Pick<Bell, 'ring' | 'close'> & Pick<StartDirectory, 'ready'> {
  const connection = new RedisConnection(options.url, options.log);
  const bell = new RedisBell(connection, options.log);
  return {
    ring: (node, ring) => bell.ring(node, ring),
    ready: (timeoutMs) => connection.ready(timeoutMs),
    close: () => connection.close(),
  };
}

/** The directory in Redis for processes that are no nodes: the scaler, `status`, `route`. It connects at once; `close` ends that. */
export function createRedisDirectory(options: { readonly url: string; readonly log: Log }): StartDirectory {
  return new RedisDirectory(new RedisConnection(options.url, options.log));
}
