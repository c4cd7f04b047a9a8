/** Looks whether this Redis is one that settings and jobs can be trusted to. */
import { guard, unawaited } from '../../boundary.ts';
import type { Log } from '../../log.ts';
import { DirectoryUnavailable } from '../directory.ts';
import type { RedisConnection } from './connection.ts';
import { readInfo, savesSnapshots } from './server-facts.ts';

/** A trouble is logged again while it lasts, at this interval. */
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
      if (info.get('aof_enabled') === '0' && (await savesSnapshots(redis)) === false) log.warn('Redis persists nothing');
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
