/** Revisions of routes in Redis, read for all routes at which a node rests. */
import { Cluster } from 'ioredis';
import { DirectoryUnavailable } from '../directory.ts';
import { REVISIONS_AGAIN_MS, REVISIONS_PER_CALL_MAX } from '../limits.ts';
import type { RedisConnection } from './connection.ts';
import { revisionKey } from './keys.ts';
import { list } from './replies.ts';

export class Revisions {
  readonly #redis: RedisConnection;
  readonly #perCallMax: number;
  #againAt = Number.NEGATIVE_INFINITY;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
    // Each route has a hash slot of its own.
    this.#perCallMax = redis.client instanceof Cluster ? 1 : REVISIONS_PER_CALL_MAX;
  }

  async read(routes: readonly string[]): Promise<(string | null)[]> {
    // A user with the rights that an earlier version needed (deploy/redis.acl) may not: each try would be in Redis' ACL LOG.
    if (performance.now() < this.#againAt) throw new DirectoryUnavailable('revisions could not be read a moment ago');
    const calls: Promise<unknown>[] = [];
    for (let at = 0; at < routes.length; at += this.#perCallMax) {
      calls.push(this.#redis.ask('mget', ...routes.slice(at, at + this.#perCallMax).map(revisionKey)));
    }
    const found = (await Promise.all(calls)).flatMap(list);
    if (found.length === routes.length) return found.map((revision) => (typeof revision === 'string' ? revision : null));
    if (this.#redis.connected) this.#againAt = performance.now() + REVISIONS_AGAIN_MS;
    throw new DirectoryUnavailable('revisions can not be read');
  }
}
