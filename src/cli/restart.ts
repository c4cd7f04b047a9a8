import type { StartDirectory } from '../cluster/directory.ts';
import { createLog } from '../log.ts';
import { StartupQueue } from '../scaling/startup-queue.ts';

/** Replaces every instance of a route by a newer one. Returns how many are to be replaced: with none nothing happens. */
export async function restartRoute(redisUrl: string, directory: StartDirectory, route: string): Promise<number> {
  const count = await directory.restart(route);
  if (count === 0) return 0;
  const queue = new StartupQueue({ redisUrl, directory, log: createLog('pullproxy', 'silent') });
  try {
    await queue.order(route);
  } finally {
    await queue.close();
  }
  return count;
}
