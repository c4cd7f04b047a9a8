/** Reads the data of a job. Everybody who can write into Redis can add jobs, and a job runs a command. */
import { countOf, instanceIdOf, isObject, servedNameOf, startIdOf, textOf, timeOf } from '../cluster/values.ts';
import { parseRouteSettings } from '../config/route-settings.ts';
import type { Leaver } from './command-runner.ts';
import { RUN_OUTPUT_CHARS_MAX, RUNS_KEPT_MAX, type StartupRun } from './startup-job.ts';
import type { StartupJob } from './startup-queue.ts';

/** Unfinished starts of one job. */
const START_IDS_MAX = 10_000;
const FAILURE_CHARS_MAX = 1_000;
const EXIT_CODE_MAX = 255;

/** @returns the data, or why the job can't be followed. */
export function readStartupJob(name: string, data: unknown): StartupJob | string {
  if (name !== 'start' && name !== 'stop' && name !== 'cancel') return 'its name is not that of a job';
  if (!isObject(data)) return 'its data is not an object';
  const { force = 0, startIds = [], wantedIds = [], defaults, leaver, cancels, early } = data;
  const route = servedNameOf(data.route);
  if (route === null) return 'its route is not a route name';
  const [forced, begun, wanted] = [countOf(force), startIdsOf(startIds), startIdsOf(wantedIds)];
  if (forced === null || begun === null || wanted === null) return 'its start ids are not valid';
  if (defaults !== undefined && !areSettings(defaults)) return 'its settings are not valid';
  const left = leaver === undefined ? undefined : readLeaver(leaver);
  if (left === null || (name === 'stop') !== (left !== undefined)) return 'its instance is not an instance id';
  const cancelled = cancels === undefined ? undefined : startIdOf(cancels);
  if (cancelled === null || (name === 'cancel') !== (cancelled !== undefined)) return 'its start is not a start id';
  return {
    route,
    force: forced,
    startIds: begun,
    wantedIds: wanted,
    ...(isObject(defaults) ? { defaults } : {}),
    ...(left === undefined ? {} : { leaver: left }),
    ...(cancelled === undefined ? {} : { cancels: cancelled, early: early === true }),
    runs: readRuns(data.runs),
  };
}

/** A job that can't be followed has no known facts. */
export function readRuns(runs: unknown): StartupRun[] {
  return Array.isArray(runs) ? runs.slice(-RUNS_KEPT_MAX).flatMap((run) => readRun(run) ?? []) : [];
}

function readRun(run: unknown): StartupRun | null {
  if (!isObject(run)) return null;
  const [startId, count, endedAt, durationMs] = [startIdOf(run.startId), countOf(run.count), timeOf(run.endedAt), timeOf(run.durationMs)];
  if (startId === null || count === null || endedAt === null || durationMs === null) return null;
  const exitCode = run.exitCode === null ? null : countOf(run.exitCode, EXIT_CODE_MAX);
  const failure = run.failure === null ? null : textOf(run.failure, FAILURE_CHARS_MAX);
  return { startId, count, endedAt, durationMs, exitCode, failure, output: textOf(run.output, RUN_OUTPUT_CHARS_MAX) };
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
