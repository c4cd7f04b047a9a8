/** Connections to the queue of startup jobs. */
import { createRedisClient, type RedisClient } from '../cluster/redis/client.ts';

export const QUEUE_NAME = 'startup';
/** In braces, because all keys of a queue must lie in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{pp-bull}';

export type BullConnection = RedisClient;

const CONNECT_TIMEOUT_MS = 2_000;
/** A connection without a reply for this time is cut. It is longer than BullMQ's blocking wait for jobs, which takes up to 10 s. */
const SILENCE_MS_MAX = 15_000;
/** How long a connection may take to end. */
const DISCONNECT_MS_MAX = 200;

/**
 * A connection for BullMQ: commands do not fail while Redis is away but wait, so the user of the connection
 * must limit what it sends. Several URLs, separated by commas, are nodes of a Redis Cluster.
 */
export function connectBull(redisUrl: string): BullConnection {
  return createRedisClient(redisUrl, {
    maxRetriesPerRequest: null,
    retryStrategy: reconnectMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS_MAX,
    disconnectTimeout: DISCONNECT_MS_MAX,
  });
}

function reconnectMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), 1_000);
}
