/** Reads every key of pullproxy's that a Redis has, and changes none: the scripts would remove what should be shown here. */
import { Cluster } from 'ioredis';
import { isDataFault, type RedisConnection } from '../connection.ts';
import { list, readHash, tuples } from '../replies.ts';
import { readInfo, readTime } from '../server-facts.ts';

export interface Stored {
  /** The type as Redis names it. */
  readonly type: string;
  /** Null: it never expires. */
  readonly expiresInMs: number | null;
  /** The number of entries; for a string its characters. */
  readonly size: number;
  /** Entries as text → their value or score; of strings, lists and sets the values are empty. At most `ENTRIES_MAX`. */
  readonly entries: ReadonlyMap<string, string>;
}

/** The content at about one moment: keys of different slots can't be read atomically. */
export interface Dump {
  /** Redis' time in ms since the epoch. */
  readonly now: number;
  readonly keys: ReadonlyMap<string, Stored>;
  /** INFO's fields, of the server, or of one server of a Redis Cluster. */
  readonly info: ReadonlyMap<string, string>;
}

export const ENTRIES_MAX = 20_000;
const PATTERNS = ['pp:*', '{pp-bull}:*'];
const SCAN_COUNT = 1_000;
/** Keys that are asked for at the same time. */
const AT_ONCE = 100;
/** For BullMQ's jobs and the history only their existence matters. */
const SIZE_ONLY = /^(\{pp-bull\}:startup:(\d+|force-\w+|[\w-]+-\d+)|pp:\{pp:history\}:\d+)$/;

export class Inspector {
  readonly #connection: RedisConnection;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  async read(): Promise<Dump> {
    const names = await this.#names();
    const keys = new Map<string, Stored>();
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const some = names.slice(at, at + AT_ONCE);
      const stored = await Promise.all(some.map((name) => this.#readKey(name)));
      for (const [index, one] of stored.entries()) if (one !== null) keys.set(some[index] ?? '', one);
    }
    const now = readTime(await this.#connection.call('time'));
    return { now, keys, info: readInfo(await this.#connection.call('info')) };
  }

  async #names(): Promise<string[]> {
    const { client } = this.#connection;
    const servers = client instanceof Cluster ? client.nodes('master') : [client];
    const found = new Set<string>();
    for (const server of servers) {
      for (const pattern of PATTERNS) {
        let cursor = '0';
        do {
          const [next, names] = list(await server.call('scan', cursor, 'match', pattern, 'count', SCAN_COUNT));
          for (const name of list(names)) found.add(String(name));
          cursor = String(next);
        } while (cursor !== '0');
      }
    }
    return [...found].sort();
  }

  /** Null when the key is gone meanwhile, or has another type. */
  async #readKey(key: string): Promise<Stored | null> {
    return this.#readWhatItIs(key).catch((error: unknown) => {
      if (isDataFault(error)) return null;
      throw error;
    });
  }

  async #readWhatItIs(key: string): Promise<Stored | null> {
    const call = (command: string, ...args: (string | number)[]): Promise<unknown> => this.#connection.call(command, key, ...args);
    const [type, ttlMs] = await Promise.all([call('type').then(String), call('pttl').then(Number)]);
    if (type === 'none' || ttlMs === -2) return null;
    const stored = (size: unknown, entries: ReadonlyMap<string, string>): Stored => {
      return { type, expiresInMs: ttlMs < 0 ? null : ttlMs, size: Number(size), entries };
    };
    const nothing = new Map<string, string>();
    switch (type) {
      case 'string': {
        const value = String(await call('get'));
        return stored(value.length, new Map([[value, '']]));
      }
      case 'hash':
        return stored(await call('hlen'), SIZE_ONLY.test(key) ? nothing : readHash(await call('hgetall')));
      case 'zset': {
        const scored = tuples(await call('zrange', 0, ENTRIES_MAX - 1, 'withscores'), 2);
        return stored(await call('zcard'), new Map(scored.map(([member, score]) => [String(member), String(score)])));
      }
      case 'set':
        return stored(await call('scard'), new Map(list(await call('smembers')).map((member) => [String(member), ''])));
      case 'list':
        return stored(await call('llen'), new Map(list(await call('lrange', 0, ENTRIES_MAX - 1)).map((member) => [String(member), ''])));
      case 'stream':
        return stored(await call('xlen'), nothing);
      default:
        return stored(0, nothing);
    }
  }
}
