import { RedisConnection } from '../../cluster/redis/connection.ts';
import { lookOver } from '../../cluster/redis/look-over.ts';
import { createRedisDirectory } from '../../cluster/redis/open.ts';
import { DEFAULT_REDIS } from '../../config/commands/common-settings.ts';
import { DOCTOR } from '../../config/commands/doctor.ts';
import { NODE } from '../../config/commands/node.ts';
import { loadCommand } from '../../config/load.ts';
import { withoutPasswords } from '../../config/redis-url.ts';
import { readVersion } from '../../config/version.ts';
import { ConfigError } from '../../errors.ts';
import { createLog } from '../../log.ts';
import { printable, printableLines } from '../../printable.ts';
import { type Check, checksOf, exitCodeOf } from '../doctor/check.ts';
import { fileChecks, portChecks, problemChecks } from '../doctor/configuration.ts';
import { machineChecks, readMachine } from '../doctor/machine.ts';
import { nodeChecks } from '../doctor/nodes.ts';
import { redisChecks } from '../doctor/redis.ts';
import { showHelp } from '../help/show-help.ts';
import { type Paint, paintFor } from '../terminal/paint.ts';
import { unreachableAdvice } from './with-directory.ts';

const RESPONSE_TIMEOUT_MS = 3_000;
const STYLES = { ok: 'green', warning: 'yellow', error: 'red' } as const;

/** Looks for what is wrong, and says what to do. Exits with 1 for errors, 3 for warnings only. */
export async function doctor(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(DOCTOR, argv);
  if (loaded === null) return showHelp(DOCTOR);
  const { redis, config, json } = loaded.values;
  const configured = config === undefined ? null : await configurationOf(config);
  const url = redis ?? (configured === null ? DEFAULT_REDIS : configured.redis);
  const checks = [...machineChecks(readMachine()), ...(configured?.checks ?? []), ...(await cluster(url))];
  if (json) console.log(printableLines(JSON.stringify(checks, null, 2)));
  else console.log(checks.map((check) => lineOf(check, paintFor(process.stdout))).join('\n'));
  return exitCodeOf(checks);
}

/** Its checks, and the Redis that it names; null: it can't be read. */
async function configurationOf(path: string): Promise<{ readonly checks: Check[]; readonly redis: string | null | undefined }> {
  try {
    const loaded = await loadCommand(NODE, ['--config', path]);
    const { values } = loaded ?? {};
    if (values === undefined) return { checks: [], redis: undefined };
    const { ok } = checksOf('configuration');
    const checks = [ok(`${path} is a configuration of a node`), ...fileChecks(values, Date.now()), ...(await portChecks(values))];
    return { checks, redis: values.redis };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { checks: problemChecks(error), redis: null };
  }
}

async function cluster(url: string | null | undefined): Promise<Check[]> {
  const { ok, error } = checksOf('redis');
  if (url === null) return [];
  if (url === undefined) return [ok('the configuration names no Redis: the node runs alone')];
  const log = createLog('pullproxy', 'silent');
  const connection = new RedisConnection(url, log);
  const directory = createRedisDirectory({ url, log });
  try {
    await Promise.all([connection.ready(RESPONSE_TIMEOUT_MS), directory.ready(RESPONSE_TIMEOUT_MS)]);
    const checks = [ok(`Redis responds at ${withoutPasswords(url)}`), ...redisChecks(await lookOver(connection))];
    return [...checks, ...(await nodeChecks(await directory.snapshot(), readVersion()))];
  } catch (failed) {
    if (!(failed instanceof Error) || failed.name !== 'DirectoryUnavailable') throw failed;
    return [error(`Redis does not respond at ${withoutPasswords(url)}`, unreachableAdvice(url, failed))];
  } finally {
    await Promise.all([connection.close(), directory.close()]);
  }
}

function lineOf({ area, state, text, advice }: Check, paint: Paint): string {
  const line = `${paint(STYLES[state], state.padEnd(7))}  ${area.padEnd(13)}  ${printable(text)}`;
  return advice === null ? line : `${line}\n${' '.repeat(24)}${printable(advice)}`;
}
