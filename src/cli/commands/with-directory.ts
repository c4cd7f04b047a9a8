import type { StartDirectory } from '../../cluster/directory.ts';
import { createRedisDirectory } from '../../cluster/redis/open.ts';
import { withoutPasswords } from '../../config/redis-url.ts';
import { createLog } from '../../log.ts';
import { printable } from '../../printable.ts';

const ANSWER_TIMEOUT_MS = 3_000;

/** A client of Redis. */
interface Answering {
  ready(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens the directory in Redis for a command, and closes it afterwards. Without Redis: prints that, exit code 1. */
export function withDirectory(url: string, use: (directory: StartDirectory) => Promise<number>): Promise<number> {
  const directory = createRedisDirectory({ url, log: createLog('pullproxy', 'silent') });
  return answering(url, directory, () => use(directory));
}

/** Uses it when it answers, and closes it afterwards. Without a response: prints what to do, exit code 1. */
export async function answering(url: string, connection: Answering, use: () => Promise<number>): Promise<number> {
  try {
    await connection.ready(ANSWER_TIMEOUT_MS);
    return await use();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DirectoryUnavailable') throw error;
    console.error(`pullproxy: Redis does not answer at ${withoutPasswords(url)} (--redis, or PULLPROXY_REDIS)`);
    console.error(`  ${printable(unreachableAdvice(url, error))}`);
    return 1;
  } finally {
    await connection.close();
  }
}

/** The advice for a Redis that does not answer. */
export function unreachableAdvice(url: string, error: Error): string {
  const ofSentinels = /^rediss?-sentinel:/.test(url);
  if (ofSentinels && /sentinel/i.test(error.message)) {
    if (/NOAUTH|WRONGPASS|AUTH|password/i.test(error.message)) {
      return 'The Sentinels refuse the password, which is not that of Redis: redis-sentinel://HOST:PORT/NAME?sentinel-password=PASSWORD';
    }
    return `The Sentinels name no master, or can not be reached: ${error.message}`;
  }
  if (/NOAUTH|WRONGPASS|invalid username-password/i.test(error.message)) {
    return 'Redis refuses the password: give the right one in the URL, redis://USER:PASSWORD@HOST';
  }
  if (/NOPERM/.test(error.message)) return `The user of Redis may not do this: ${error.message}`;
  const [first = url] = url.split(',');
  const { hostname, port } = URL.parse(first) ?? { hostname: '', port: '' };
  return `Is it running, and is this its address? Try: redis-cli -h ${hostname} -p ${port || 6379} ping`;
}
