import type { KeyPlace, KeyPlaces } from '../key-places.ts';
import type { RedisConnection } from './connection.ts';
import { keyPlacesKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { list } from './replies.ts';

const ALL = -1;
/** Keys in one call: it limits the time of the script. */
const PER_CALL_MAX = 500;

export class RedisKeyPlaces implements KeyPlaces {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;

  constructor(redis: RedisConnection, mending: Mending) {
    this.#redis = redis;
    this.#mending = mending;
  }

  async take(route: string, key: string, most: number, forMs: number): Promise<boolean> {
    return list(await this.#run(route, most, [{ key, forMs, atLeast: true }])).length === 0;
  }

  async keep(route: string, places: readonly KeyPlace[]): Promise<void> {
    for (let at = 0; at < places.length; at += PER_CALL_MAX) await this.#run(route, ALL, places.slice(at, at + PER_CALL_MAX));
  }

  #run(route: string, most: number, places: readonly KeyPlace[]): Promise<unknown> {
    const key = keyPlacesKey(route);
    const args = places.flatMap((place) => [place.key, place.forMs, place.atLeast ? 1 : 0]);
    return this.#mending.ofKey(key, 'zset', () => this.#redis.run('keys', [key], [most, ...args]));
  }
}
