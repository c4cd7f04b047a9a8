import type { StartDirectory } from '../../cluster/directory.ts';
import { createLog } from '../../log.ts';
import { StartupQueue } from '../../scaling/startup-queue.ts';
import { restartWith } from './restart-with.ts';

/** Replaces every instance of a route by a newer one. Returns their number; without instances nothing happens. */
export async function restartRoute(redisUrl: string, directory: StartDirectory, route: string): Promise<number> {
  const queue = new StartupQueue({ redisUrl, directory, log: createLog('pullproxy', 'silent') });
  try {
    return await restartWith(directory, (name) => queue.order(name), route);
  } finally {
    await queue.close();
  }
}
