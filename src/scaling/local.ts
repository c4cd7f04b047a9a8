/** The scaler of a single process: the same rounds, without a queue, because all orders come from this process. */

import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { parseRouteSettings } from '../config/route-settings.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Lanes } from './lanes.ts';
import { watchMinimum } from './minimum.ts';
import { RETRY, runRound, type StartOrder } from './start-round.ts';

export interface LocalScalerOptions {
  readonly directory: Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart' | 'wantInstances' | 'route' | 'routes'>;
  /** So many starts may begin now; absent: no such limit. */
  readonly room?: (route: string) => Promise<number>;
  /** Starts one instance; rejects when that failed, with `NobodyTookIt` when it is to be decided again. */
  readonly start: (order: StartOrder & { readonly route: string }) => Promise<void>;
  /** Whether instances of a route are started here; absent: of each. */
  readonly starts?: (route: string) => boolean;
  readonly log: Log;
}

/** Between two rounds of one route. */
const ROUND_GAP_MS = 50;
/** In one process only `maxInstances` limits the starts. */
const UNBOUNDED: Lanes = { take: (count) => Array.from({ length: count }, () => () => {}) };

interface Asked {
  again: boolean;
  /** Wanted instances beyond the need of clients; not in the directory yet. */
  force: number;
}

/** The result of a round: when the next round follows by itself. */
type Next = { readonly failed: true } | { readonly failed: false; readonly laterMs: number | null };

export class LocalScaler {
  readonly #options: LocalScalerOptions;
  readonly #asked = new Map<string, Asked>();
  readonly #stopping = new AbortController();
  readonly #stopWatching: () => void;

  constructor(options: LocalScalerOptions) {
    this.#options = options;
    this.#stopWatching = watchMinimum(options.directory, (route) => this.request(route), options.log);
  }

  /** Like `StartupQueue.request`. */
  request(route: string, force = 0): void {
    if (this.#stopping.signal.aborted || this.#options.starts?.(route) === false) return;
    const asked = this.#asked.get(route);
    if (asked) {
      asked.again = true;
      asked.force += force;
      return;
    }
    const first: Asked = { again: true, force };
    this.#asked.set(route, first);
    unawaited('job', this.#serve(route, first));
  }

  /** Begins no more starts. Running ones belong to the code that began them. */
  close(): void {
    this.#stopWatching();
    this.#stopping.abort();
  }

  async #serve(route: string, asked: Asked): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (asked.again && !signal.aborted) {
      asked.again = false;
      const next = await this.#round(route, asked);
      failures = next.failed ? failures + 1 : 0;
      // A start that failed, or has to wait, may have nobody who asks again: a minimum of instances, or one that an operator asked for.
      if (next.failed ? failures < RETRY.attempts : next.laterMs !== null) asked.again = true;
      else if (next.failed) failures = 0;
      const waitMs = next.failed ? RETRY.firstMs * 2 ** Math.max(0, failures - 1) : (next.laterMs ?? ROUND_GAP_MS);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
    this.#asked.delete(route);
  }

  async #round(route: string, asked: Asked): Promise<Next> {
    const { directory, start, room, log } = this.#options;
    try {
      const { force } = asked;
      if (force > 0) await directory.wantInstances(route, force);
      asked.force -= force;
      const settings = parseRouteSettings((await directory.route(route)) ?? {});
      const { laterMs } = await runRound({
        directory,
        route,
        // This process starts instances itself, one at a time.
        settings: { ...settings, startMode: 'each' },
        unfinished: { startIds: [] },
        lanes: UNBOUNDED,
        log,
        takenAt: performance.now(),
        stopping: this.#stopping.signal,
        run: (order) => start({ ...order, route }),
        remember: async () => {},
        room: room && (() => room(route)),
      });
      return { failed: false, laterMs };
    } catch (error) {
      if (!this.#stopping.signal.aborted) log.warn({ reason: reasonOf(error), route }, 'instances could not be started; trying again');
      return { failed: true };
    }
  }
}
