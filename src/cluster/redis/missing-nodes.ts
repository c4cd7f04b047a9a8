/** Nodes that stopped beating and did not come back, in Redis. */
import type { MissingNode, NodeSnapshot } from '../cluster.ts';
import { addressOf, countOf, nodeIdOf, objectOf, timeOf } from '../values.ts';
import type { RedisConnection } from './connection.ts';
import { missingKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { readHash } from './replies.ts';
import { readTime } from './server-facts.ts';

/** If more nodes were killed, the others are not listed. */
const MISSING_MAX = 100;

export class MissingNodes {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;

  constructor(redis: RedisConnection, mending: Mending) {
    this.#redis = redis;
    this.#mending = mending;
  }

  async read(): Promise<MissingNode[]> {
    const stored = readHash(await this.#key('hgetall'));
    if (stored.size === 0) return [];
    const now = await this.#now();
    return [...stored].slice(0, MISSING_MAX).flatMap(([written, json]) => {
      const [id, said] = [nodeIdOf(written), objectOf(json)];
      if (id === null || said === null) return [];
      const since = Math.min(timeOf(said.since) ?? now, now);
      const count = (field: string): number => countOf(said[field]) ?? 0;
      const had = { held: count('held'), active: count('active'), links: count('links') };
      return [{ id, address: addressOf(said.address) ?? '', since, ageMs: now - since, ...had }];
    });
  }

  /** `last`: what it said of itself. */
  async note({ id, address, held, active, links }: NodeSnapshot): Promise<MissingNode> {
    const since = await this.#now();
    if (Number(await this.#key('hlen')) < MISSING_MAX) {
      await this.#key('hset', id, JSON.stringify({ since, address, held, active, links }));
    }
    return { id, address, held, active, links, since, ageMs: 0 };
  }

  async forget(node: string): Promise<boolean> {
    return Number(await this.#key('hdel', node)) > 0;
  }

  async #now(): Promise<number> {
    return readTime(await this.#redis.call('time'));
  }

  #key(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#mending.ofKey(missingKey, 'hash', () => this.#redis.call(command, missingKey, ...args));
  }
}
