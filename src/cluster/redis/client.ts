/** A client for a Redis, a Redis Cluster, or the master that Sentinels know. */
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from '../../config/redis-url.ts';

export type RedisClient = Redis | Cluster;

export interface ClientOptions extends RedisOptions {
  /** When it connects again, in ms; also to a cluster, and to Sentinels. */
  readonly retryStrategy: (attempt: number) => number;
}

/**
 * `url`: as config/redis-url.ts says. `inCluster`: what else counts for a Redis Cluster alone.
 * @throws RangeError when the URL does not say where Redis is.
 */
export function createRedisClient(url: string, options: ClientOptions, inCluster: ClusterOptions = {}): RedisClient {
  const place = parseRedisUrl(url);
  if (place === null) throw new RangeError('the URL does not say where Redis is');
  if (place.kind === 'server') return new Redis(place.url, options);
  const tls = place.tls ? {} : undefined;
  const access = { username: place.username, password: place.password, tls };
  if (place.kind === 'cluster') {
    const { retryStrategy, enableOfflineQueue } = options;
    const redisOptions = { ...options, ...access };
    return new Cluster([...place.nodes], { enableOfflineQueue, clusterRetryStrategy: retryStrategy, redisOptions, ...inCluster });
  }
  return new Redis({
    ...options,
    ...access,
    sentinels: [...place.sentinels],
    name: place.name,
    ...(place.sentinelUsername === undefined ? {} : { sentinelUsername: place.sentinelUsername }),
    ...(place.sentinelPassword === undefined ? {} : { sentinelPassword: place.sentinelPassword }),
    db: place.database,
    sentinelTLS: tls,
    enableTLSForSentinelMode: place.tls,
    sentinelRetryStrategy: options.retryStrategy,
    // A master that was cut off does not know that another one was chosen: the Sentinels say so.
    failoverDetector: true,
  });
}

/** The user that it logs in as; undefined: Redis' default user. */
export function userOf(client: RedisClient): string | undefined {
  const { username } = client instanceof Cluster ? (client.options.redisOptions ?? {}) : client.options;
  // Null where the URL has no user.
  return !username || username === 'default' ? undefined : username;
}

/** On a Redis Cluster a message goes to one shard, the channel's, instead of to all. */
export function publishCommand(client: Redis | Cluster): 'publish' | 'spublish' {
  return client instanceof Cluster ? 'spublish' : 'publish';
}
