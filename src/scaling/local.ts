/** The scaler of a single process: the same rounds as everywhere, without a queue, because everybody who asks is here. */
import { setTimeout as delay } from 'node:timers/promises';
import type { StartDirectory } from '../cluster/directory.ts';
import { parseRouteSettings } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import type { Lanes } from './lanes.ts';
import { watchMinimum } from './minimum.ts';
import { reasonOf } from './reason.ts';
import { RETRY, runRound, type StartOrder, type Unfinished } from './start-round.ts';

export interface LocalScalerOptions {
  readonly directory: Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart' | 'route' | 'routes'>;
  /** Starts one instance; rejects when that failed. */
  readonly start: (order: StartOrder & { readonly route: string }) => Promise<void>;
  readonly log: Log;
}

/** Between two rounds of one route. */
const ROUND_GAP_MS = 50;
/** The starts of one process are bounded by `maxInstances` alone. */
const UNBOUNDED: Lanes = { take: (count) => Array.from({ length: count }, () => () => {}) };

interface Asked {
  again: boolean;
  force: number;
}

export class LocalScaler {
  readonly #options: LocalScalerOptions;
  readonly #asked = new Map<string, Asked>();
  readonly #stopping = new AbortController();
  readonly #stopWatching: () => void;

  constructor(options: LocalScalerOptions) {
    this.#options = options;
    this.#stopWatching = watchMinimum(options.directory, (route) => this.request(route), options.log);
  }

  /** As `StartupQueue.request`. */
  request(route: string, force = 0): void {
    if (this.#stopping.signal.aborted) return;
    const asked = this.#asked.get(route);
    if (asked) {
      asked.again = true;
      asked.force += force;
      return;
    }
    const first: Asked = { again: true, force };
    this.#asked.set(route, first);
    void this.#serve(route, first);
  }

  /** Begins no more starts. Those that are under way belong to whoever started them. */
  close(): void {
    this.#stopWatching();
    this.#stopping.abort();
  }

  async #serve(route: string, asked: Asked): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (asked.again && !signal.aborted) {
      asked.again = false;
      failures = (await this.#round(route, asked)) ? 0 : failures + 1;
      // Nobody may ask again for what has failed: a minimum of instances, one that was asked for by hand.
      if (failures > 0 && failures < RETRY.attempts) asked.again = true;
      else if (failures > 0) [failures, asked.force] = [0, 0];
      const waitMs = failures === 0 ? ROUND_GAP_MS : RETRY.firstMs * 2 ** (failures - 1);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
    this.#asked.delete(route);
  }

  async #round(route: string, asked: Asked): Promise<boolean> {
    const { directory, start, log } = this.#options;
    let unfinished: Unfinished = { force: asked.force, startIds: [] };
    asked.force = 0;
    try {
      const settings = parseRouteSettings((await directory.route(route)) ?? {});
      await runRound({
        directory,
        route,
        // Whoever starts instances himself can't be asked for several at once.
        settings: { ...settings, startMode: 'each' },
        unfinished,
        lanes: UNBOUNDED,
        log,
        stopping: this.#stopping.signal,
        run: (order) => start({ ...order, route }),
        remember: async (left) => {
          unfinished = left;
        },
      });
      return true;
    } catch (error) {
      asked.force += unfinished.force;
      if (!this.#stopping.signal.aborted) log.warn({ reason: reasonOf(error), route }, 'instances could not be started; trying again');
      return false;
    }
  }
}
