/** Connections to the queue of startup jobs. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from '../config/redis-url.ts';

export const QUEUE_NAME = 'startup';
/** In braces, because all keys of a queue must lie in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{pp-bull}';

const CONNECT_TIMEOUT_MS = 2_000;
/** A connection without a reply for this time is cut. It is longer than BullMQ's blocking wait for jobs, which takes up to 10 s. */
const SILENCE_MS_MAX = 15_000;
/** How long a connection may take to end. */
const DISCONNECT_MS_MAX = 200;

export type BullConnection = Redis | Cluster;

/**
 * A connection for BullMQ: commands do not fail while Redis is away but wait, so the user of the connection
 * must limit what it sends. Several URLs, separated by commas, are nodes of a Redis Cluster.
 */
export function connectBull(redisUrl: string): BullConnection {
  const place = parseRedisUrl(redisUrl);
  if (place === null) throw new RangeError('the URL does not say where Redis is');
  const options: RedisOptions = {
    maxRetriesPerRequest: null,
    retryStrategy: reconnectMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS_MAX,
    disconnectTimeout: DISCONNECT_MS_MAX,
  };
  if (place.kind === 'server') return new Redis(place.url, options);
  const access = { username: place.username, password: place.password, tls: place.tls ? {} : undefined };
  if (place.kind === 'cluster') {
    return new Cluster([...place.nodes], { clusterRetryStrategy: reconnectMs, redisOptions: { ...options, ...access } });
  }
  return new Redis({
    ...options,
    ...access,
    sentinels: [...place.sentinels],
    name: place.name,
    ...(place.sentinelUsername === undefined ? {} : { sentinelUsername: place.sentinelUsername }),
    ...(place.sentinelPassword === undefined ? {} : { sentinelPassword: place.sentinelPassword }),
    db: place.database,
    sentinelTLS: access.tls,
    enableTLSForSentinelMode: place.tls,
    sentinelRetryStrategy: reconnectMs,
    failoverDetector: true,
  });
}

function reconnectMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), 1_000);
}
