import { JOBS } from '../../config/commands/jobs.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import { printable, printableLines } from '../../printable.ts';
import type { JobChange, StartupJobFacts } from '../../scaling/startup-job.ts';
import { StartupJobReader } from '../../scaling/startup-job-reader.ts';
import { showHelp } from '../help/show-help.ts';
import { paintFor } from '../terminal/paint.ts';
import { type Column, table } from '../terminal/table.ts';
import { withDirectory } from './with-directory.ts';

type Action = { readonly verb: 'list' } | { readonly verb: 'retry' | 'remove'; readonly id: string };

const VERBS = 'list, retry, remove';
const JOBS_MAX = 100;
const ID_CHARS_MAX = 500;
const WIDTH_OF_A_FILE = 1_000;

const REFUSED: Readonly<Record<Exclude<JobChange, 'done'>, string>> = {
  unknown: 'there is no such job ("pullproxy jobs list" shows them)',
  running: 'it is running: wait until it has ended',
  waiting: 'it waits for a scaler already',
  finished: 'it is done: there is nothing to try again',
};

const COLUMNS: readonly Column<StartupJobFacts>[] = [
  { title: 'JOB', read: ({ id }) => printable(id) },
  { title: 'ROUTE', read: ({ route }) => printable(route) },
  { title: 'STATE', read: ({ state }) => state, style: ({ state }) => (state === 'failed' ? 'red' : null) },
  { title: 'TRIES', read: ({ attempts, attemptsMax }) => `${attempts} of ${attemptsMax}` },
  { title: 'FAILURE', read: ({ failure }) => printable(failure ?? ''), spare: 1 },
];

/** Shows and changes startup jobs. */
export async function jobs(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(JOBS, argv);
  if (loaded === null) return showHelp(JOBS);
  const { redis, json } = loaded.values;
  const action = readAction(loaded.operands);
  // It says what to do when Redis does not answer.
  return withDirectory(redis, async () => {
    const reader = new StartupJobReader(redis);
    try {
      return action.verb === 'list' ? await list(reader, json) : await change(reader, action.verb, action.id);
    } finally {
      await reader.close();
    }
  });
}

/** @throws ConfigError */
export function readAction([verb, id, ...rest]: readonly string[]): Action {
  if (verb !== 'list' && verb !== 'retry' && verb !== 'remove') {
    throw new ConfigError([verb === undefined ? `expected one of ${VERBS}` : problem('jobs', verb, `one of ${VERBS}`)]);
  }
  const [extra] = verb === 'list' ? [id] : rest;
  if (extra !== undefined) throw new ConfigError([problem(`jobs ${verb}`, extra, 'nothing more')]);
  if (verb === 'list') return { verb };
  if (id === undefined || id === '' || id.length > ID_CHARS_MAX)
    throw new ConfigError([problem(`jobs ${verb}`, id ?? '', 'the id of a job')]);
  return { verb, id };
}

async function list(reader: StartupJobReader, json: boolean): Promise<number> {
  const found = await reader.read(JOBS_MAX);
  if (found === null) {
    console.error('pullproxy: the startup jobs can not be read now');
    return 1;
  }
  if (json) console.log(printableLines(JSON.stringify(found, null, 2)));
  else if (found.jobs.length === 0) console.log('There are no startup jobs.');
  else console.log(table(COLUMNS, found.jobs, process.stdout.columns || WIDTH_OF_A_FILE, paintFor(process.stdout)).join('\n'));
  return 0;
}

async function change(reader: StartupJobReader, verb: 'retry' | 'remove', id: string): Promise<number> {
  const changed = await reader[verb](id);
  if (changed === 'done') return 0;
  console.error(`pullproxy: job ${printable(id)}: ${REFUSED[changed]}`);
  return 1;
}
