import type { Log } from '../../log.ts';
import type { Cluster, Peer } from '../cluster.ts';
import type { Directory, StartDirectory } from '../directory.ts';
import { ClusterMember } from '../member/member.ts';
import { RedisBell } from './bell.ts';
import { RedisConnection } from './connection.ts';
import { RedisDirectory } from './directory.ts';

/**
 * A node's cluster through Redis, and the directory it uses. `url`: as config/redis-url.ts says. It connects at once; the cluster's
 * `stop` closes it.
 */
export function createRedisCluster(options: { readonly url: string; readonly self: Peer; readonly version: string; readonly log: Log }): {
  cluster: Cluster;
  directory: Directory;
} {
  const { url, self, version, log } = options;
  const connection = new RedisConnection(url, log);
  const directory = new RedisDirectory(connection);
  return { cluster: new ClusterMember({ self, version, log, directory, bell: new RedisBell(connection, log) }), directory };
}

/** The directory in Redis for those who are no node: the scaler, `status`, `route`. It connects at once; `close` ends that. */
export function createRedisDirectory(options: { readonly url: string; readonly log: Log }): StartDirectory {
  return new RedisDirectory(new RedisConnection(options.url, options.log));
}
