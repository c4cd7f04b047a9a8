import type { InternalErrors } from '../boundary.ts';
import type { ClusterEvent } from '../events/event.ts';
import type { StartupJobs } from '../scaling/startup-job.ts';
import type { AdminSource } from './admin-source.ts';

export interface Trouble {
  /** `error`: clients suffer, or soon will; `warning`: an operator should look; `note`: good to know. */
  readonly severity: 'error' | 'warning' | 'note';
  /** Stable, for scripts. */
  readonly code: string;
  readonly route: string | null;
  readonly node: string | null;
  /** One sentence. */
  readonly text: string;
  /** Says what happens by itself, and what to do. */
  readonly advice: string;
}

export interface TroubleContext {
  /** Null when jobs are not known. */
  readonly jobs: StartupJobs | null;
  readonly startedBy: AdminSource['startedBy'];
  /** Why Redis refuses to write although it answers; null when it does not. */
  readonly redisRefusal: string | null;
  /** Internal errors of the process that answers, by place. */
  readonly internalErrors: Readonly<Record<string, InternalErrors>>;
  /** The latest events, oldest first, and the time by their clock. */
  readonly events: { readonly events: readonly ClusterEvent[]; readonly now: number };
  /** ms since the epoch. */
  readonly now: number;
}
