/** The facts that a Redis server tells about itself. */
import { userOf } from './client.ts';
import type { RedisConnection } from './connection.ts';
import { list } from './replies.ts';

/** The fields of a reply to INFO. */
export function readInfo(reply: unknown): ReadonlyMap<string, string> {
  const lines = typeof reply === 'string' ? reply.split(/\r?\n/) : [];
  return new Map(
    lines.flatMap((line) => {
      const at = line.indexOf(':');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
    }),
  );
}

/** A reply to TIME in ms since the epoch; 0: it is none. */
export function readTime(reply: unknown): number {
  const [seconds, micros] = list(reply).map(Number);
  return Math.floor((seconds ?? 0) * 1_000 + (micros ?? 0) / 1_000);
}

/**
 * Whether it writes snapshots. Null: it can't be asked. A user with rights of its own (deploy/redis.acl) may not, and each try would be in Redis'
 * ACL LOG.
 */
export async function savesSnapshots(redis: RedisConnection): Promise<boolean | null> {
  if (userOf(redis.client) !== undefined) return null;
  const reply = await redis.ask('config', 'get', 'save');
  return Array.isArray(reply) ? reply[1] !== '' : null;
}
