import { setTimeout as delay } from 'node:timers/promises';
import type { Trouble } from '../../admin/trouble.ts';
import { BEAT_MS } from '../../cluster/limits.ts';
import { RedisConnection } from '../../cluster/redis/connection.ts';
import { type Dump, Inspector } from '../../cluster/redis/inspect/dump.ts';
import type { Finding } from '../../cluster/redis/inspect/finding.ts';
import { findInconsistencies } from '../../cluster/redis/inspect/findings.ts';
import { meaningOf } from '../../cluster/redis/inspect/meaning.ts';
import { createRedisDirectory } from '../../cluster/redis/open.ts';
import { INSPECT } from '../../config/commands/inspect.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from '../../config/route-name.ts';
import { ConfigError } from '../../errors.ts';
import { createLog } from '../../log.ts';
import { printableLines } from '../../printable.ts';
import { StartupJobReader } from '../../scaling/startup-job-reader.ts';
import { showHelp } from '../help/show-help.ts';
import { inspectionText } from '../terminal/inspect-text.ts';
import { paintFor } from '../terminal/paint.ts';
import { looker } from './status.ts';
import { answering } from './with-directory.ts';

/** Longer than two beats: with the first a node notices a loss, with the second it has written everything again. */
const SECOND_LOOK_MS = 2 * BEAT_MS + 200;
const WIDTH_OF_A_FILE = 1_000;
const READY_MS_MAX = 3_000;

/** Explains the keys in Redis. Exits with 1 when something is broken. */
export async function inspect(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(INSPECT, argv);
  if (loaded === null) return showHelp(INSPECT);
  const { redis, json } = loaded.values;
  const route = readRoute(loaded.operands);
  const connection = new RedisConnection(redis, createLog('pullproxy', 'silent'));
  return answering(redis, connection, async () => {
    const [{ dump, findings }, troubles] = await Promise.all([look(new Inspector(connection)), troublesOf(redis)]);
    const width = process.stdout.columns || WIDTH_OF_A_FILE;
    if (json) console.log(printableLines(asJson(dump, findings, troubles)));
    else console.log(inspectionText({ dump, findings, troubles, route }, width, paintFor(process.stdout)));
    return findings.some(({ severity }) => severity === 'broken') ? 1 : 0;
  });
}

/** The troubles of the cluster: Redis may contradict itself nowhere while a node is lost. */
async function troublesOf(redis: string): Promise<readonly Trouble[]> {
  const directory = createRedisDirectory({ url: redis, log: createLog('pullproxy', 'silent') });
  const jobs = new StartupJobReader(redis);
  try {
    await directory.ready(READY_MS_MAX);
    return (await looker(directory, jobs)()).troubles;
  } finally {
    await Promise.all([directory.close(), jobs.close()]);
  }
}

/**
 * Keys are read one after the other while the cluster works, so two of them may seem to contradict each other. Only a contradiction that is found
 * twice counts.
 */
export async function look(
  inspector: Pick<Inspector, 'read'>,
  pauseMs = SECOND_LOOK_MS,
): Promise<{ dump: Dump; findings: readonly Finding[] }> {
  const first = await inspector.read();
  const suspected = findInconsistencies(first);
  if (suspected.length === 0) return { dump: first, findings: [] };
  await delay(pauseMs);
  const dump = await inspector.read();
  const before = new Set(suspected.map(identity));
  return { dump, findings: findInconsistencies(dump).filter((finding) => before.has(identity(finding))) };
}

/** Numbers may differ between two reads. */
function identity({ key, what }: Finding): string {
  return `${key} ${what.replaceAll(/\d+/g, 'N')}`;
}

function readRoute([written, extra]: readonly string[]): string | null {
  if (written === undefined) return null;
  const name = validRouteName(written);
  if (name === null) throw new ConfigError([problem('inspect', written, ROUTE_NAME_EXPECTED)]);
  if (extra !== undefined) throw new ConfigError([problem('inspect', extra, 'nothing more')]);
  return name;
}

function asJson(dump: Dump, findings: readonly Finding[], troubles: readonly Trouble[]): string {
  const keys = [...dump.keys].map(([key, { type, size, expiresInMs }]) => ({
    key,
    type,
    size,
    expiresInMs,
    what: meaningOf(key)?.what ?? null,
  }));
  return JSON.stringify({ at: dump.now, keys, findings, troubles }, null, 2);
}
