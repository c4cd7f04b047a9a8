import { setTimeout as delay } from 'node:timers/promises';
import { about } from '../../admin/words.ts';
import { LOGS } from '../../config/commands/logs.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from '../../config/route-name.ts';
import { ConfigError } from '../../errors.ts';
import { printable, printableLines } from '../../printable.ts';
import type { StartupRun } from '../../scaling/startup-job.ts';
import { StartupJobReader } from '../../scaling/startup-job-reader.ts';
import { showHelp } from '../help/show-help.ts';
import { type Paint, paintFor } from '../terminal/paint.ts';
import { withDirectory } from './with-directory.ts';

/** Jobs in each state. */
const JOBS_MAX = 200;
const LOOK_MS = 1_000;

/** Prints what the startup commands of a route wrote. Exits with 1 when Redis does not answer. */
export async function logs(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(LOGS, argv);
  if (loaded === null) return showHelp(LOGS);
  const { redis, follow, json } = loaded.values;
  const route = readRoute(loaded.operands);
  const paint = paintFor(process.stdout);
  // It says what to do when Redis does not answer.
  return withDirectory(redis, async () => {
    const reader = new StartupJobReader(redis);
    try {
      let shown: ReadonlySet<string> = new Set();
      for (let isFirst = true; ; isFirst = false) {
        const runs = await runsOf(reader, route);
        if (runs === null && !follow) return silent();
        if (runs?.length === 0 && isFirst) console.error(`pullproxy logs: no startup command of ${printable(route)} has ended yet`);
        for (const run of runs ?? []) {
          if (!shown.has(identity(run))) console.log(json ? printableLines(JSON.stringify(run)) : runText(run, paint));
        }
        if (runs !== null) shown = new Set(runs.map(identity));
        if (!follow) return 0;
        await delay(LOOK_MS);
      }
    } finally {
      await reader.close();
    }
  });
}

function silent(): number {
  console.error('pullproxy logs: Redis does not answer');
  return 1;
}

function readRoute([written, extra]: readonly string[]): string {
  const name = validRouteName(written ?? '');
  if (name === null) throw new ConfigError([problem('logs', written ?? '', ROUTE_NAME_EXPECTED)]);
  if (extra !== undefined) throw new ConfigError([problem('logs', extra, 'nothing more')]);
  return name;
}

/** Oldest first; null: Redis does not answer. */
async function runsOf(reader: StartupJobReader, name: string): Promise<StartupRun[] | null> {
  const found = await reader.read(JOBS_MAX);
  const runs = found?.jobs.filter(({ route }) => route === name).flatMap((job) => job.runs);
  return runs?.toSorted((a, b) => a.endedAt - b.endedAt) ?? null;
}

function identity({ startId, endedAt }: StartupRun): string {
  return `${startId} ${endedAt}`;
}

function runText({ startId, endedAt, durationMs, exitCode, failure, output }: StartupRun, paint: Paint): string {
  const moment = new Date(endedAt).toISOString().replace('T', ' ').slice(0, 19);
  const how = failure ?? (exitCode === null ? 'ended' : `ended with code ${exitCode}`);
  const head = printable(`${moment}  ${startId}  ${how} (${about(durationMs)})`);
  const lines = output.trimEnd() === '' ? ['(it has written nothing)'] : output.trimEnd().split('\n');
  return [paint(failure === null ? 'dim' : 'red', head), ...lines.map((line) => `  ${printable(line.replaceAll('\t', '  '))}`)].join('\n');
}
