/** Looks a Redis over for a person before pullproxy uses it. */
import type { RedisConnection } from './connection.ts';
import { readInfo, readTime, savesSnapshots } from './server-facts.ts';

export interface RedisFacts {
  /** INFO's fields, of the server, or of one server of a Redis Cluster. */
  readonly info: ReadonlyMap<string, string>;
  /** Whether it writes snapshots; null: this user may not ask. */
  readonly saves: boolean | null;
  /** Commands that were refused, and why. */
  readonly refused: ReadonlyMap<string, string>;
  /** Its clock minus this one's, and how wrong that may be. */
  readonly clockAheadMs: number;
  readonly uncertaintyMs: number;
}

/** Prefixes of the keys that nodes and startup jobs have; these are deleted at once. */
const TRIED_KEYS = ['pp:{pp:doctor}', '{pp-bull}:doctor'] as const;
const KEY_LIVES_MS = 1_000;

export async function lookOver(connection: RedisConnection): Promise<RedisFacts> {
  const info = readInfo(await connection.ask('info'));
  const sentAt = Date.now();
  const time = readTime(await connection.ask('time'));
  const uncertaintyMs = (Date.now() - sentAt) / 2;
  const clockAheadMs = time === 0 ? 0 : time - (sentAt + uncertaintyMs);
  return { info, saves: await savesSnapshots(connection), refused: await refusedCommands(connection), clockAheadMs, uncertaintyMs };
}

/** Tries what pullproxy does. */
async function refusedCommands(connection: RedisConnection): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  const tries: (readonly [string, ...(string | number)[]])[] = [
    ['info'],
    ['time'],
    ...TRIED_KEYS.flatMap((key) => [
      ['set', key, '1', 'px', KEY_LIVES_MS] as const,
      ['eval', "return redis.call('get', KEYS[1])", 1, key] as const,
      ['del', key] as const,
    ]),
    ['publish', 'pp:doctor', ''],
  ];
  for (const [command, ...args] of tries) {
    await connection.client.call(command, ...args).catch((error: unknown) => {
      const on = command === 'info' || command === 'time' ? '' : ` ${args[command === 'eval' ? 2 : 0]}`;
      refused.set(`${command}${on}`, error instanceof Error ? error.message : String(error));
    });
  }
  return refused;
}
