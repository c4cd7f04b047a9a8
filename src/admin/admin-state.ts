import { routeOf } from '../config/route-key.ts';
import type { RouteRecord } from '../config/route-settings.ts';
import type { StartRate, StartupJobFacts, StartupJobs, StartupRun } from '../scaling/startup-job.ts';
import type { AdminSource, ClusterState } from './admin-source.ts';
import type { EventsNow } from './event-history.ts';
import { foldKeys } from './folded-keys.ts';
import type { Trouble } from './trouble.ts';
import { findTroubles } from './troubles.ts';
import type { Waits } from './waits.ts';

/** A startup job without all of its runs: `/api/v1/jobs` has them. */
export interface StartupJobSummary extends Omit<StartupJobFacts, 'runs'> {
  /** Runs of the command that have ended; at most the last ten are counted. */
  readonly runs: number;
  readonly lastRun: StartupRun | null;
}

/** `/api/v1/state`. */
export interface AdminState extends Omit<ClusterState, 'aside' | 'missing'> {
  /** The time of this state: ms since the epoch, by the clock of the process that answers. The version and state of that process follow. */
  readonly at: number;
  readonly version: string;
  readonly draining: boolean;
  readonly startedBy: AdminSource['startedBy'];
  /** The values for keys that a route's settings do not have. */
  readonly routeDefaults: RouteRecord;
  /** Scalers that take startup jobs; null when that is not known. */
  readonly scalers: number | null;
  /** How fast scalers begin starts, and the startup jobs that wait; null when that is not known. */
  readonly startRate: StartRate | null;
  /** The worst first. */
  readonly troubles: readonly Trouble[];
  /** Running ones first, then the last finished ones. */
  readonly jobs: readonly StartupJobSummary[];
  readonly waits: Waits;
  /** The id of the last event of the timeline; null: there is none. */
  readonly lastEvent: string | null;
}

const JOBS_SHOWN_MAX = 12;
/** The finished ones among them: they show only that starts work. */
const DONE_SHOWN_MAX = 4;
const OUTPUT_CHARS_MAX = 600;

export function adminState(
  state: ClusterState,
  jobs: StartupJobs | null,
  process: Pick<AdminSource, 'version' | 'startedBy' | 'routeDefaults' | 'draining' | 'redisRefusal' | 'internalErrors'>,
  waits: Waits,
  events: EventsNow,
  now: number,
): AdminState {
  const { version, startedBy, routeDefaults, draining, redisRefusal, internalErrors } = process;
  const { aside: _, missing: __, ...seen } = state;
  return {
    ...seen,
    routes: foldKeys(state.routes),
    at: now,
    version,
    draining,
    startedBy,
    routeDefaults,
    scalers: jobs?.scalers ?? null,
    startRate: jobs?.rate ?? null,
    troubles: findTroubles(state, {
      jobs,
      startedBy,
      redisRefusal,
      internalErrors,
      events: { ...events, events: [...events.events, ...events.untold] },
      now,
    }),
    jobs: shown(jobs?.jobs ?? [], new Set(state.routes.map(({ name }) => routeOf(name)))).map(summary),
    waits,
    lastEvent: events.events.at(-1)?.id ?? null,
  };
}

/** Ended jobs of a deleted route are not shown: nobody can do anything about them. */
function shown(all: readonly StartupJobFacts[], routes: ReadonlySet<string>): StartupJobFacts[] {
  const jobs = all.filter(({ state, route }) => (state !== 'failed' && state !== 'completed') || routes.has(routeOf(route)));
  const done = jobs.filter(({ state }) => state === 'completed').slice(DONE_SHOWN_MAX);
  return jobs.filter((job) => !done.includes(job)).slice(0, JOBS_SHOWN_MAX);
}

function summary({ runs, ...job }: StartupJobFacts): StartupJobSummary {
  const last = runs.at(-1);
  return { ...job, runs: runs.length, lastRun: last === undefined ? null : { ...last, output: last.output.slice(-OUTPUT_CHARS_MAX) } };
}
