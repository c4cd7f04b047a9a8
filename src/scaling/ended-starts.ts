/**
 * Follows starts to their end: counts how they ended, and orders the cancel command for those that failed and for instances that were lost.
 * The directory keeps an end until one scaler takes it. So each is counted once, also after the death of the scaler that began it.
 */
import { guard, unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import type { EndedStart, StartOutcome } from '../cluster/starts.ts';
import { routeOf } from '../config/route-key.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';

export interface StartCount {
  readonly route: string;
  readonly outcome: StartOutcome;
  readonly count: number;
}

export interface EndedStartsOptions {
  readonly directory: Pick<StartDirectory, 'endedStarts' | 'takeEnded' | 'routes'>;
  /** Orders the cancel command for a start, once, however often it is called. Null: nothing is cleaned up. */
  readonly cancel: ((route: string, end: EndedStart) => Promise<void>) | null;
  /** Hears how many starts of a route have linked, and how many have not linked in time. Must not throw. */
  readonly ended?: (route: string, ends: { readonly linked: number; readonly failed: number }) => void;
  readonly log: Log;
}

/** How often to look at routes at which a start began here. */
const LOOK_MS = 1_000;
/** How long after a start ends it is known whether its instance is lost, or has proved itself. */
const SETTLES_MS = 45_000;
/** All other configured routes are looked at in turn: another scaler may have died. */
const TURN_MS = 30_000;
const TURN_STEP_MS_MIN = 100;
/** Routes at which this scaler began starts. */
const ROUTES_MAX = 10_000;

export class EndedStarts {
  readonly #options: EndedStartsOptions;
  readonly #counts = new Map<string, { route: string; outcome: StartOutcome; count: number }>();
  /** Route → until when it is looked at, by performance.now(). */
  readonly #watched = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #closed = false;
  #failing = false;

  constructor(options: EndedStartsOptions) {
    this.#options = options;
  }

  get counts(): readonly StartCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }));
  }

  start(): void {
    this.#later(LOOK_MS, () => this.#lookAtWatched());
    this.#later(TURN_STEP_MS_MIN, () => this.#lookAtAll());
  }

  /** Starts of the route begin here. */
  watch(route: string, startTimeoutMs: number): void {
    if (this.#watched.size >= ROUTES_MAX && !this.#watched.has(route)) return;
    // A linker gives its application about the same time again.
    this.#watched.set(route, performance.now() + 2 * startTimeoutMs + SETTLES_MS);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Also for a look that does not wait for its turn. Never rejects. */
  async look(route: string): Promise<void> {
    const { directory, log } = this.#options;
    try {
      const ended = await directory.endedStarts(route);
      for (const end of ended) await this.#cleanUp(route, end);
      const taken = await directory.takeEnded(route, ended);
      for (const { how } of taken) if (how !== 'lost') this.#count(routeOf(route), how);
      const number = (outcome: StartOutcome): number => taken.filter(({ how }) => how === outcome).length;
      this.#options.ended?.(routeOf(route), { linked: number('linked'), failed: number('not_linked') });
      this.#failing = false;
    } catch (error) {
      if (!this.#failing && !this.#closed)
        log.debug({ reason: reasonOf(error), route }, 'the ends of starts could not be read; trying again');
      this.#failing = true;
    }
  }

  /** Ordered before the end is taken: this process may die in between. */
  async #cleanUp(route: string, end: EndedStart): Promise<void> {
    const { startId, how } = end;
    // One command has begun several of them: there is nothing that belongs to one.
    if (how !== 'linked' && !startId.includes(':')) await this.#options.cancel?.(route, end);
  }

  #count(route: string, outcome: StartOutcome): void {
    const key = `${outcome} ${route}`;
    const counted = this.#counts.get(key);
    if (counted) counted.count += 1;
    else this.#counts.set(key, { route, outcome, count: 1 });
  }

  async #lookAtWatched(): Promise<void> {
    const now = performance.now();
    for (const [route, until] of this.#watched) {
      if (until < now) this.#watched.delete(route);
      else if (!this.#closed) await this.look(route);
    }
    this.#later(LOOK_MS, () => this.#lookAtWatched());
  }

  async #lookAtAll(): Promise<void> {
    const routes = await this.#options.directory.routes().then(
      (configured) => [...configured.keys()].filter((route) => !this.#watched.has(route)),
      () => [],
    );
    this.#lookInTurn(routes, Math.max(TURN_STEP_MS_MIN, TURN_MS / Math.max(1, routes.length)));
  }

  #lookInTurn([route, ...others]: readonly string[], stepMs: number): void {
    this.#later(stepMs, async () => {
      if (route === undefined) return this.#lookAtAll();
      await this.look(route);
      this.#lookInTurn(others, stepMs);
    });
  }

  #later(ms: number, task: () => Promise<void>): void {
    if (this.#closed) return;
    const run = guard('timer', () => {
      this.#timers.delete(timer);
      unawaited('timer', task());
    });
    const timer = setTimeout(run, ms);
    this.#timers.add(timer);
  }
}

/** By route and outcome. */
export function startCounts(starts: readonly StartCount[]): ReadonlyMap<string, Readonly<Record<string, number>>> {
  const routes = new Map<string, Record<string, number>>();
  for (const { route, outcome, count } of starts) routes.set(route, { ...routes.get(route), [outcome]: count });
  return routes;
}
