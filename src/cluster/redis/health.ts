/** Looks whether this Redis is one that settings and jobs can be trusted to. */
import { guard, unawaited } from '../../boundary.ts';
import type { Log } from '../../log.ts';
import { DirectoryUnavailable } from '../directory.ts';
import { userOf } from './client.ts';
import type { RedisConnection } from './connection.ts';

/** What is wrong is said again while it lasts. */
const LOOK_EVERY_MS = 60_000;

/** From the first connection on, as long as there is one. Keeps no process alive. */
export function watchRedisHealth(redis: RedisConnection, log: Log): void {
  let run: string | null = null;
  const look = async (): Promise<void> => {
    try {
      const info = readInfo(await redis.call('info'));
      const found = info.get('run_id') ?? null;
      if (run !== null && found !== null && found !== run)
        log.info({ run: found.slice(0, 8) }, 'another Redis answers: a failover, or a restart');
      run = found ?? run;
      const policy = info.get('maxmemory_policy') ?? 'noeviction';
      if (policy !== 'noeviction' && info.get('maxmemory') !== '0') log.error({ policy }, 'Redis may evict keys');
      if (info.get('aof_enabled') === '0' && (await savesNothing(redis))) log.warn('Redis persists nothing');
    } catch (error) {
      // The next look tells; that it does not answer is said by the connection.
      if (!(error instanceof DirectoryUnavailable)) throw error;
    }
  };
  const again = guard('timer', () => {
    if (redis.connected) unawaited('directory', look());
  });
  redis.onConnected((connected) => {
    if (connected) again();
  });
  setInterval(again, LOOK_EVERY_MS).unref();
}

/** False also where it can't be asked: a user with rights of its own (deploy/redis.acl) may not, and each try would be in Redis' ACL LOG. */
async function savesNothing(redis: RedisConnection): Promise<boolean> {
  if (userOf(redis.client) !== undefined) return false;
  const answer = await redis.ask('config', 'get', 'save');
  return Array.isArray(answer) && answer[1] === '';
}

function readInfo(answer: unknown): ReadonlyMap<string, string> {
  const lines = typeof answer === 'string' ? answer.split(/\r?\n/) : [];
  return new Map(
    lines.flatMap((line) => {
      const at = line.indexOf(':');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
    }),
  );
}
