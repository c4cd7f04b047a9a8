/** Startup jobs for people. Plain facts: nothing here knows the queue. */
import type { CommandResult } from './command.ts';
import type { StartOrder } from './start-round.ts';

/** One run of the startup command that has ended. */
export interface StartupRun {
  readonly startId: string;
  /** Instances that it should start. */
  readonly count: number;
  /** ms since the epoch, by the clock of the scaler. */
  readonly endedAt: number;
  readonly durationMs: number;
  /** Null when a signal ended it, or it could not be run. */
  readonly exitCode: number | null;
  /** The failure; null when it exited with 0. */
  readonly failure: string | null;
  /** The end of its output. */
  readonly output: string;
}

export type StartupJobState = 'active' | 'waiting' | 'delayed' | 'failed' | 'completed';

/** An order for instances of one route. Times are ms since the epoch, by the clocks of the node and of the scaler. */
export interface StartupJobFacts {
  readonly id: string;
  readonly route: string;
  /** `delayed`: it failed and will be tried again; `failed`: it will not. */
  readonly state: StartupJobState;
  /** Tries that have ended. */
  readonly attempts: number;
  readonly attemptsMax: number;
  /** Wanted instances beyond the need of clients. */
  readonly forced: number;
  readonly orderedAt: number;
  /** Time of the last try; null before the first. */
  readonly beganAt: number | null;
  readonly endedAt: number | null;
  /** Approximate time of the next try. */
  readonly nextTryAt: number | null;
  /** The failure of the last try. */
  readonly failure: string | null;
  /** Runs of all tries, oldest first; at most the last ones. */
  readonly runs: readonly StartupRun[];
}

/** The rate of starts now, and the startup jobs that wait: in the whole cluster. */
export interface StartRate {
  /** Starts per second; with a fixed rate, startup jobs per second. */
  readonly perSecond: number;
  /** A scaler has `--rate N/DURATION`. */
  readonly fixed: boolean;
  /** Starts have failed lately, so fewer begin than at first. */
  readonly slowed: boolean;
  /** Startup jobs that no scaler has taken. Each is an order for one route. */
  readonly waiting: number;
  /** How long the oldest of them waits; 0 without one. By the clocks of the node that ordered it, and of this process. */
  readonly oldestMs: number;
}

export interface StartupJobs {
  /** Unfinished ones first; in each group the latest first. */
  readonly jobs: readonly StartupJobFacts[];
  /** Scalers that take jobs; null when that is not known. */
  readonly scalers: number | null;
  /** How fast starts begin, and the jobs that wait. Null or absent: it is not known. */
  readonly rate?: StartRate | null;
}

/** The result of a change of a job: it was `done`; or there is no such job, it is `running`, `waiting` for a scaler already, or `finished` in order. */
export type JobChange = 'done' | 'unknown' | 'running' | 'waiting' | 'finished';

/** Runs that a job keeps. */
export const RUNS_KEPT_MAX = 10;
/** The kept bytes of each run's output. */
export const RUN_OUTPUT_CHARS_MAX = 2_000;

export function runOf(
  order: Pick<StartOrder, 'startId' | 'count'>,
  result: Pick<CommandResult, 'exitCode' | 'durationMs' | 'failure' | 'output'>,
  endedAt: number,
): StartupRun {
  const { exitCode, durationMs, failure, output } = result;
  return {
    startId: order.startId,
    count: order.count,
    endedAt,
    durationMs,
    exitCode,
    failure,
    output: output.slice(-RUN_OUTPUT_CHARS_MAX),
  };
}

/** A job as the queue has it, with its data. */
interface QueuedJob {
  readonly id?: string;
  readonly attemptsMade: number;
  readonly opts: { readonly attempts?: number };
  readonly timestamp: number;
  readonly processedOn?: number | null;
  readonly finishedOn?: number | null;
  readonly delay?: number;
  readonly failedReason?: string | null;
}

const FAILURE_CHARS_MAX = 1_000;

export function factsOf(
  job: QueuedJob,
  { route, force, runs = [] }: { readonly route: string; readonly force: number; readonly runs?: readonly StartupRun[] },
  state: StartupJobState,
): StartupJobFacts {
  const failure = state === 'completed' ? '' : (job.failedReason?.slice(0, FAILURE_CHARS_MAX).split('\n', 1)[0] ?? '');
  const orderedAt = whole(job.timestamp) ?? 0;
  const beganAt = whole(job.processedOn);
  const lastEnd = runs.at(-1)?.endedAt ?? beganAt ?? orderedAt;
  return {
    id: job.id ?? '',
    route,
    state,
    attempts: whole(job.attemptsMade) ?? 0,
    attemptsMax: whole(job.opts.attempts) ?? 1,
    forced: force,
    orderedAt,
    beganAt,
    endedAt: whole(job.finishedOn),
    nextTryAt: state === 'delayed' ? lastEnd + (whole(job.delay) ?? 0) : null,
    failure: failure === '' ? null : failure,
    runs,
  };
}

/** A value that was written into the queue by hand may be no number. */
function whole(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
