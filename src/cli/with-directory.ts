import type { StartDirectory } from '../cluster/directory.ts';
import { createRedisDirectory } from '../cluster/redis/redis-cluster.ts';
import { createLog } from '../log.ts';

const ANSWER_TIMEOUT_MS = 3_000;

/** Opens the directory in Redis for a command that ends by itself, and closes it after. Without Redis: says so, exit code 1. */
export async function withDirectory(url: string, use: (directory: StartDirectory) => Promise<number>): Promise<number> {
  const directory = createRedisDirectory({ url, log: createLog('pullproxy', 'silent') });
  try {
    await directory.ready(ANSWER_TIMEOUT_MS);
    return await use(directory);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DirectoryUnavailable') throw error;
    console.error(`pullproxy: Redis does not answer at ${withoutPassword(url)} (--redis, or PULLPROXY_REDIS)`);
    return 1;
  } finally {
    await directory.close();
  }
}

function withoutPassword(url: string): string {
  return url.replaceAll(/\/\/[^@/,]*@/g, '//');
}
