/** Why starts of a route fail, in a few words. */
import type { RouteSnapshot } from '../cluster/cluster.ts';
import type { StartupJobFacts, StartupRun } from '../scaling/startup-job.ts';
import { firstLine, tellingLine } from './words.ts';

export interface StartFailures {
  /** Failures in a row, up to now. */
  readonly count: number;
  /** `exit 125, image not found` */
  readonly reason: string;
  /** Since the last failure. */
  readonly ageMs: number;
  /** Until the next start is tried; 0: at once, or when a client comes. */
  readonly retryInMs: number;
}

const REASON_CHARS_MAX = 160;

/**
 * Null when the last start did not fail. The directory knows that starts fail; the startup jobs know exit codes
 * and output of the command.
 */
export function startFailures(
  { name, trouble, instances }: RouteSnapshot,
  jobs: readonly StartupJobFacts[],
  now: number,
): StartFailures | null {
  const runs = jobs.filter(({ route }) => route === name).flatMap((job) => job.runs);
  const ended = runs.toSorted((a, b) => a.endedAt - b.endedAt);
  const last = ended.at(-1);
  const failed = ended.slice(ended.findLastIndex(({ failure }) => failure === null) + 1);
  if (trouble !== null) {
    const known = last !== undefined && last.failure !== null ? failureReason(last) : firstLine(trouble.reason, REASON_CHARS_MAX);
    return { count: Math.max(trouble.failures, 1), reason: known, ageMs: trouble.ageMs, retryInMs: trouble.retryInMs };
  }
  // An instance that linked since then shows that starts work again.
  if (last === undefined || failed.length === 0 || instances.some(({ seq }) => seq > last.endedAt)) return null;
  const retryAt = Math.max(0, ...jobs.filter(({ route }) => route === name).map(({ nextTryAt }) => nextTryAt ?? 0));
  const tried = jobs.some(({ route, state }) => route === name && state !== 'failed' && state !== 'completed');
  if (!tried && now - last.endedAt > FORGOTTEN_MS) return null;
  return {
    count: failed.reduce((sum, { count }) => sum + count, 0),
    reason: failureReason(last),
    ageMs: Math.max(0, now - last.endedAt),
    retryInMs: Math.max(0, retryAt - now),
  };
}

/** A failed job that is older, with no request since, is history. */
const FORGOTTEN_MS = 10 * 60_000;

/** `exit 125, image not found`; `did not end within 60000 ms and was stopped`. */
export function failureReason({ exitCode, failure, output }: Pick<StartupRun, 'exitCode' | 'failure' | 'output'>): string {
  const how = exitCode === null ? withoutName(failure ?? 'it was stopped') : `exit ${exitCode}`;
  const what = tellingLine(output, REASON_CHARS_MAX);
  return what === '' ? how : `${how}, ${what}`;
}

function withoutName(failure: string): string {
  return firstLine(failure.replace(/^startup command ("[^"]*") /, 'startup command '), REASON_CHARS_MAX);
}
