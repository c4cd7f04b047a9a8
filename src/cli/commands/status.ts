import { setTimeout as delay } from 'node:timers/promises';
import { type AdminState, adminState } from '../../admin/admin-state.ts';
import { EventHistory } from '../../admin/event-history.ts';
import { WaitWindow } from '../../admin/waits.ts';
import { internalErrors } from '../../boundary.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import { STATUS } from '../../config/commands/status.ts';
import { loadCommand } from '../../config/load.ts';
import { DEFAULT_ROUTE_SETTINGS, writeRouteSettings } from '../../config/route-settings.ts';
import { readVersion } from '../../config/version.ts';
import { printableLines } from '../../printable.ts';
import { StartupJobReader } from '../../scaling/startup-job-reader.ts';
import { showHelp } from '../help/show-help.ts';
import { paintFor } from '../terminal/paint.ts';
import { statusText } from '../terminal/status-text.ts';
import { watch } from '../terminal/watch.ts';
import { withDirectory } from './with-directory.ts';

const WATCH_MS = 1_000;
/** Output that does not go to a terminal is not cut. */
const WIDTH_OF_A_FILE = 1_000;
/** Jobs in each state. */
const JOBS_MAX = 20;
const THIS_PROCESS = { startedBy: 'scalers', draining: false, routeDefaults: writeRouteSettings(DEFAULT_ROUTE_SETTINGS) } as const;

type Look = () => Promise<AdminState>;

/** Prints the state of the cluster from the directory: once, or at intervals. */
export async function status(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(STATUS, argv);
  if (loaded === null) return showHelp(STATUS);
  const { redis, json, watch: again, exitCode } = loaded.values;
  return withDirectory(redis, async (directory) => {
    const jobs = new StartupJobReader(redis);
    const look = looker(directory, jobs);
    try {
      if (!again) {
        const state = await look();
        console.log(json ? asJson(state, 2) : statusText(state, width(), paint()));
        return exitCode ? codeOf(state) : 0;
      }
      if (json || !process.stdout.isTTY) await printAgain(look, json);
      else await watch(screen(look), WATCH_MS);
      return 0;
    } finally {
      await jobs.close();
    }
  });
}

/** For scripts: 1 is that Redis does not answer, and 2 a wrong command line. */
function codeOf({ troubles }: AdminState): number {
  if (troubles.some(({ severity }) => severity === 'error')) return 3;
  return troubles.some(({ severity }) => severity === 'warning') ? 4 : 0;
}

export function looker(directory: StartDirectory, jobs: StartupJobReader): Look {
  const waits = new WaitWindow();
  const events = new EventHistory({ events: async (after, max) => ({ ...(await directory.eventLog.since(after, max)), isOwn: false }) });
  const version = readVersion();
  return async () => {
    const [snapshot, found, happened] = await Promise.all([directory.snapshot(), jobs.read(JOBS_MAX), events.read()]);
    const state = { node: null, redis: { connected: directory.connected }, ...snapshot };
    return adminState(
      state,
      found,
      { version, ...THIS_PROCESS, redisRefusal: directory.refusal, internalErrors: internalErrors() },
      waits.add(snapshot.nodes, performance.now()),
      happened,
      Date.now(),
    );
  };
}

/** For scripts and files: one state after the other. */
async function printAgain(look: Look, json: boolean): Promise<never> {
  for (;;) {
    const state = await look().catch(() => null);
    if (state === null) console.error('Redis does not answer.');
    else console.log(json ? asJson(state) : statusText(state, width()));
    await delay(WATCH_MS);
  }
}

/** While Redis is away, shows the last state and its age. */
function screen(look: Look): (columns: number) => Promise<string> {
  const clock = (at: number): string => new Date(at).toTimeString().slice(0, 8);
  let last: AdminState | null = null;
  return async (columns) => {
    const state = await look().catch(() => null);
    last = state ?? last;
    const seen = last === null ? '' : ` This is the state at ${clock(last.at)}.`;
    const head =
      state === null ? paint()('red', `Redis does not answer.${seen}`) : paint()('dim', `pullproxy at ${clock(state.at)}, q quits`);
    return last === null ? head : `${head}\n${statusText(last, columns, paint())}`;
  };
}

function asJson(state: AdminState, indent = 0): string {
  return printableLines(JSON.stringify(state, null, indent));
}

function paint() {
  return paintFor(process.stdout);
}

function width(): number {
  return process.stdout.columns ?? WIDTH_OF_A_FILE;
}
