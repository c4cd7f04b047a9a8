/**
 * When a command fails because of a foreign value in Redis, the key is moved aside or the entry removed, a note is written for `inspect`
 * and the page, and the command runs again. The lost entries are soft state: nodes write them again with their next beats.
 */

import type { ClusterSnapshot } from '../cluster.ts';
import { countOf, objectOf, textOf } from '../values.ts';
import { isDataFault, type RedisConnection } from './connection.ts';
import { asideKey, routeKeys, routeKeyTypes } from './keys.ts';
import { list, readHash, tuples } from './replies.ts';

/** Notes are kept for a day, and not more of them than this. */
const NOTES_LIVE_MS = 24 * 3_600_000;
const NOTES_MAX = 100;
const NOTE_CHARS_MAX = 300;

export class Mending {
  readonly #redis: RedisConnection;
  /** In progress: commands that fail together wait for the same one. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** A script of the route. */
  ofRoute<T>(route: string, send: () => Promise<T>): Promise<T> {
    return this.#guard(`route ${route}`, send, () => this.#mendRoute(route));
  }

  /** A command for one key of the type. `moved` is called when something else was there. */
  ofKey<T>(key: string, type: string, send: () => Promise<T>, moved?: () => Promise<void>): Promise<T> {
    return this.#guard(`key ${key}`, send, async () => {
      const aside = tuples(await this.#redis.run('aside', [key], [type]), 2);
      this.#noteMoved(aside);
      if (aside.length > 0) await moved?.();
    });
  }

  /** A command for several keys of one hash slot, all of the type. */
  ofKeys<T>(keys: readonly string[], type: string, send: () => Promise<T>): Promise<T> {
    return this.#guard(`key ${keys.join(' ')}`, send, async () => {
      for (const key of keys) this.#noteMoved(tuples(await this.#redis.run('aside', [key], [type]), 2));
    });
  }

  /** Entries that were removed from a route's keys: { key, entry, value, ... }. */
  noteTakenOut(reply: unknown): void {
    for (const [key, entry, value] of tuples(reply, 3)) {
      this.#note(`${String(key)} ${String(entry)}`, `${String(value)}: removed`);
    }
  }

  /** Notes on what was found, for people. Nothing depends on them: an unreadable value means no notes. */
  async notes(): Promise<ClusterSnapshot['aside']> {
    const notes = await this.ofKey(asideKey, 'hash', () => this.#redis.call('hgetall', asideKey)).catch(() => null);
    return [...readHash(notes)].slice(0, NOTES_MAX).flatMap(([where, json]) => {
      const note = objectOf(json);
      const at = countOf(note?.at, Number.MAX_SAFE_INTEGER);
      return at === null ? [] : [{ where: textOf(where, NOTE_CHARS_MAX), what: textOf(note?.what, NOTE_CHARS_MAX), at }];
    });
  }

  async #guard<T>(what: string, send: () => Promise<T>, mend: () => Promise<void>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      if (!isDataFault(error)) throw error;
      const running = this.#running.get(what) ?? mend().finally(() => this.#running.delete(what));
      this.#running.set(what, running);
      await running;
      return await send();
    }
  }

  async #mendRoute(route: string): Promise<void> {
    const [moved, takenOut] = list(await this.#redis.run('mend', routeKeys(route), routeKeyTypes));
    this.#noteMoved(tuples(moved, 2));
    this.noteTakenOut(takenOut);
  }

  #noteMoved(moved: readonly (readonly unknown[])[]): void {
    for (const [key, type] of moved) this.#note(String(key), `a ${String(type)}: moved to pp:aside:...`);
  }

  #note(where: string, what: string): void {
    this.#redis.leftOut.note(where, what, 'Redis had an entry that can not be used: it was moved aside or removed');
    void this.#keep(where, what).catch(() => undefined);
  }

  /** For `inspect` and the page. Nothing depends on it. */
  async #keep(where: string, what: string): Promise<void> {
    if (Number(await this.#redis.call('hlen', asideKey)) >= NOTES_MAX) return;
    await this.#redis.call('hset', asideKey, where, JSON.stringify({ what, at: Date.now() }));
    await this.#redis.call('pexpire', asideKey, NOTES_LIVE_MS);
  }
}
