/**
 * What starts instances by itself, instead of by a command: containers that a scaler has discovered. Several scalers take jobs from one queue, and
 * only one of them can reach the containers of a route: the others give its job back.
 */
import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import type { RouteSettings } from '../config/route-settings.ts';
import { reasonOf } from '../errors.ts';
import type { StartOrder } from './start-round.ts';
import { RUN_OUTPUT_CHARS_MAX, type StartupRun } from './startup-job.ts';

export interface Starter {
  /** Routes that it has declared have this as their `source`; empty: it is not known yet. */
  readonly source: string;
  /** Whether it has something that can be started for the route. */
  has(route: string): boolean;
  /** Resolves when the instance serves, or when all is done that leads to it. Rejects with words for people. */
  start(startId: string, route: string): Promise<void>;
  /** Takes back what a start has left that has failed. Absent: nothing is left. */
  cancel?(startId: string, route: string): Promise<void>;
}

/** Sources of routes whose starts leave something when they fail. */
const CANCELLED = /^kubernetes@/;

/** Another scaler that is free takes it at once. */
const HAND_ON_MS = 250;
/** After that nobody is there who would take it. */
const HANDED_ON_MS_MAX = 60_000;

export interface StarterOptions {
  readonly starter?: Starter | undefined;
  readonly command: readonly string[];
  readonly allowRouteCommands?: boolean;
}

/** What starts the instances of a route: a command of this scaler, what it discovered, or another scaler. */
export function startedBy(
  route: string,
  { source, command }: Pick<RouteSettings, 'source' | 'command'>,
  { starter, command: own, allowRouteCommands }: StarterOptions,
): 'command' | 'starter' | 'another' {
  if (source !== undefined) return source === starter?.source ? 'starter' : 'another';
  if (starter === undefined || own.length > 0 || (command !== undefined && allowRouteCommands === true)) return 'command';
  // An operator has set the route, and its containers are here.
  return command === undefined && starter.has(route) ? 'starter' : 'another';
}

/** Whether there may be something to cancel of a start of such a route, whichever scaler does it. */
export function leavesSomething(by: ReturnType<typeof startedBy>, { source }: Pick<RouteSettings, 'source'>, starter?: Starter): boolean {
  if (by === 'starter') return starter?.cancel !== undefined;
  return by === 'another' && source !== undefined && CANCELLED.test(source);
}

/** Rejects: with what BullMQ takes for an order to try it again, or when nobody has taken it for a minute. */
export async function handOn(job: Job, token: string | undefined, source: string | undefined): Promise<never> {
  const ageMs = Date.now() - job.timestamp;
  if (ageMs > HANDED_ON_MS_MAX) {
    const whose =
      source === undefined ? 'no scaler has a command for it' : `${source} has declared the route, and no scaler there has taken the job`;
    throw new UnrecoverableError(whose);
  }
  await job.moveToDelayed(Date.now() + HAND_ON_MS, token);
  throw new DelayedError();
}

/** Starts one instance; `ended` gets what there is to keep of it. Rejects when it failed. */
export async function startBy(starter: Starter, route: string, order: StartOrder, ended: (run: StartupRun) => void): Promise<void> {
  const beganAt = performance.now();
  const end = (failure: string | null): void => {
    const { startId, count } = order;
    const durationMs = Math.round(performance.now() - beganAt);
    ended({ startId, count, endedAt: Date.now(), durationMs, exitCode: failure === null ? 0 : null, failure, output: '' });
  };
  try {
    await starter.start(order.startId, route);
    end(null);
  } catch (error) {
    end(reasonOf(error).slice(0, RUN_OUTPUT_CHARS_MAX / 2));
    throw error;
  }
}
