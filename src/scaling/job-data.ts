/** Reads what a job says. Whoever can write into Redis can add jobs, and a job ends in a command that runs. */
import { countOf, instanceIdOf, isObject, routeNameOf, startIdOf, textOf, timeOf } from '../cluster/values.ts';
import { parseRouteSettings } from '../config/route-settings.ts';
import type { Leaver } from './command-runner.ts';
import { runOutputCharsMax, runsKeptMax, type StartupRun } from './startup-job.ts';
import type { StartupJob } from './startup-queue.ts';

/** Starts that one job leaves behind. */
const START_IDS_MAX = 10_000;
const FAILURE_CHARS_MAX = 1_000;
const EXIT_CODE_MAX = 255;

/** @returns what it says, or why it can't be followed. */
export function readStartupJob(name: string, data: unknown): StartupJob | string {
  if (name !== 'start' && name !== 'stop') return 'a job of this name is unknown here';
  if (!isObject(data)) return 'its data is no object';
  const { force = 0, startIds = [], wantedIds = [], defaults, leaver } = data;
  const route = routeNameOf(data.route);
  if (route === null) return 'its route has no valid name';
  const [forced, begun, wanted] = [countOf(force), startIdsOf(startIds), startIdsOf(wantedIds)];
  if (forced === null || begun === null || wanted === null) return 'its starts are no starts';
  if (defaults !== undefined && !areSettings(defaults)) return 'the settings in it are bad';
  const left = leaver === undefined ? undefined : readLeaver(leaver);
  if (left === null || (name === 'stop') !== (left !== undefined)) return 'the instance in it is none';
  return {
    route,
    force: forced,
    startIds: begun,
    wantedIds: wanted,
    ...(isObject(defaults) ? { defaults } : {}),
    ...(left === undefined ? {} : { leaver: left }),
    runs: readRuns(data.runs),
  };
}

/** Of a job that can't be followed nothing is known. */
export function readRuns(runs: unknown): StartupRun[] {
  return Array.isArray(runs) ? runs.slice(-runsKeptMax).flatMap((run) => readRun(run) ?? []) : [];
}

function readRun(run: unknown): StartupRun | null {
  if (!isObject(run)) return null;
  const [startId, count, endedAt, durationMs] = [startIdOf(run.startId), countOf(run.count), timeOf(run.endedAt), timeOf(run.durationMs)];
  if (startId === null || count === null || endedAt === null || durationMs === null) return null;
  const exitCode = run.exitCode === null ? null : countOf(run.exitCode, EXIT_CODE_MAX);
  const failure = run.failure === null ? null : textOf(run.failure, FAILURE_CHARS_MAX);
  return { startId, count, endedAt, durationMs, exitCode, failure, output: textOf(run.output, runOutputCharsMax) };
}

function readLeaver(leaver: unknown): Leaver | null {
  if (!isObject(leaver)) return null;
  const instance = instanceIdOf(leaver.instance);
  const startId = leaver.startId === undefined ? undefined : startIdOf(leaver.startId);
  return instance === null || startId === null ? null : { instance, startId };
}

function startIdsOf(ids: unknown): string[] | null {
  if (!Array.isArray(ids) || ids.length > START_IDS_MAX) return null;
  const known = ids.flatMap((id) => startIdOf(id) ?? []);
  return known.length === ids.length ? known : null;
}

function areSettings(defaults: unknown): boolean {
  try {
    return isObject(defaults) && parseRouteSettings(defaults) !== null;
  } catch {
    return false;
  }
}
