/**
 * Nodes order startup jobs here. BullMQ keeps at most one active and one waiting job for each route. A job decides
 * when it runs which instances it starts, so one order too many costs only the job.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type JobsOptions, Queue } from 'bullmq';
import { guard } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { LeftOut } from '../cluster/left-out.ts';
import type { EndedStart } from '../cluster/starts.ts';
import {
  DEFAULT_ROUTE_SETTINGS,
  parseRouteSettings,
  type RouteRecord,
  type RouteSettings,
  writeRouteSettings,
} from '../config/route-settings.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';
import type { Leaver } from './command-runner.ts';
import { QueueUpkeep } from './queue-upkeep.ts';
import { assess, RETRY, type Unfinished } from './start-round.ts';
import type { StartupRun } from './startup-job.ts';

export interface StartupJob extends Unfinished {
  readonly route: string;
  /** Wanted instances of this order; the directory knows how many are still wanted. */
  readonly force: number;
  /** Settings of the node that ordered it, for a route without settings. */
  readonly defaults?: RouteRecord;
  /** The job runs the stop command for this instance. */
  readonly leaver?: Leaver;
  /** The job runs the cancel command for this start. */
  readonly cancels?: string;
  /** Its instance ended early: one that its scheduler has started again stays only if it has become ready meanwhile. */
  readonly early?: boolean;
  /** Runs of the command so far, for people: the last `runsKeptMax`. */
  readonly runs?: readonly StartupRun[];
}

/** A process looks at a route, and orders a job for it, at most once in this time. */
const REQUEST_GAP_MS = 100;
/** The pause after a failure, when nothing else will ask again. */
const RETRY_MS = 1_000;
/** How long close() waits for Redis. */
const CLOSE_MS = 1_000;
/** How many events BullMQ's stream keeps. */
const EVENTS_MAX = 1_000;

export const JOB_OPTIONS: JobsOptions = {
  // Orders that come while a job waits for its next attempt are merged with it: it serves all of them when it runs.
  attempts: RETRY.attempts,
  backoff: { type: 'exponential', delay: RETRY.firstMs, jitter: 0.5 },
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 24 * 3_600, count: 1_000 },
  stackTraceLimit: 1,
};

/** Orders for a route since the last look at it. */
interface Asked {
  again: boolean;
  /** Instances beyond the need; not in the directory yet. */
  force: number;
  /** In the directory, without a job yet. */
  wanted: number;
  served: Promise<void>;
}

export interface StartupQueueOptions {
  readonly redisUrl: string;
  readonly directory: Pick<StartDirectory, 'startPlan' | 'route' | 'wantInstances'>;
  /** Settings of routes without their own; a job carries them to scalers, which don't know them. */
  readonly defaults?: RouteSettings;
  readonly log: Log;
}

export class StartupQueue {
  readonly #options: StartupQueueOptions;
  readonly #log: Log;
  readonly #connection: BullConnection;
  readonly #queue: Queue<StartupJob>;
  readonly #upkeep: QueueUpkeep;
  readonly #asked = new Map<string, Asked>();
  readonly #closing = new AbortController();
  #failing = false;

  constructor(options: StartupQueueOptions) {
    const { redisUrl, log } = options;
    this.#options = options;
    this.#log = log;
    this.#connection = connectBull(redisUrl);
    this.#upkeep = new QueueUpkeep(this.#connection, new LeftOut(log));
    this.#queue = new Queue<StartupJob>(QUEUE_NAME, {
      connection: this.#connection,
      prefix: QUEUE_PREFIX,
      defaultJobOptions: JOB_OPTIONS,
      streams: { events: { maxLen: EVENTS_MAX } },
    });
    const failed = guard('job', (error: Error) => this.#failed(error));
    this.#queue.on('error', failed);
  }

  /**
   * Clients of `route` wait for instances. Orders a startup job if instances are missing. It is cheap: call it as long as they wait.
   * @param force wanted instances beyond the need of clients; they are not lost while this process lives.
   */
  request(route: string, force = 0): void {
    if (this.#closing.signal.aborted) return;
    const asked = this.#asked.get(route);
    if (asked) {
      asked.again = true;
      asked.force += force;
      return;
    }
    const first: Asked = { again: true, force, wanted: 0, served: Promise.resolve() };
    this.#asked.set(route, first);
    first.served = this.#serve(route, first);
  }

  /** Orders a look at the route, even if another process has ordered one. @throws when Redis does not take it. */
  async order(route: string): Promise<void> {
    await this.#add(route, 0, (await this.#options.directory.route(route)) === null);
  }

  /** An instance has left: orders the stop command of its route. */
  left(route: string, leaver: Leaver): void {
    const added = this.#queue.add('stop', { route, force: 0, startIds: [], leaver }, { jobId: `stop-${route}-${leaver.instance}` });
    added.catch((error) => this.#failed(error));
  }

  /** A start has failed: orders the cancel command, once. @throws when Redis does not take it. */
  async cancel(route: string, { startId, how }: EndedStart): Promise<void> {
    const data = { route, force: 0, startIds: [], cancels: startId, early: how === 'ended_early' };
    await this.#queue.add('cancel', data, { jobId: cancelId(route, startId) });
  }

  /**
   * The startup command of a start has ended. If the start was given up before, its cancel command may have run before there was something to cancel:
   * orders it once more. One that is ordered from now on finds all that the command has left. @throws when Redis does not take it.
   */
  async cancelLate(route: string, startId: string): Promise<void> {
    const ordered = await this.#queue.getJob(cancelId(route, startId));
    // An instance that ended early was there when it was cancelled.
    if (!ordered || ordered.data?.early === true) return;
    const data = { route, force: 0, startIds: [], cancels: startId, early: false };
    await this.#queue.add('cancel', data, { jobId: `late-${cancelId(route, startId)}` });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const underWay = [...this.#asked.values()].map(({ served }) => served);
    // Waits for orders on their way only while Redis answers.
    await Promise.race([Promise.all(underWay).then(() => this.#queue.close()), delay(CLOSE_MS, undefined, { ref: false })]);
    this.#connection.disconnect();
  }

  async #serve(route: string, asked: Asked): Promise<void> {
    const { signal } = this.#closing;
    while (asked.again && !signal.aborted) {
      asked.again = false;
      const done = await this.#order(route, asked);
      if (asked.force + asked.wanted > 0) asked.again = true;
      await delay(done ? REQUEST_GAP_MS : RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    this.#asked.delete(route);
  }

  async #order(route: string, asked: Asked): Promise<boolean> {
    const { directory, defaults } = this.#options;
    try {
      const { force } = asked;
      if (force > 0) await directory.wantInstances(route, force);
      asked.force -= force;
      asked.wanted += force;
      const record = await directory.route(route);
      const { wanted } = asked;
      if (wanted > 0 || (await this.#isMissing(route, settingsOf(record, defaults)))) await this.#add(route, wanted, record === null);
      asked.wanted -= wanted;
      return true;
    } catch (error) {
      this.#failed(error, [`de:${route}`]);
      return false;
    }
  }

  /** Most requests repeat an order: a look at the plan saves the job, and leaves the scaler's rate to jobs that start something. */
  async #isMissing(route: string, settings: RouteSettings): Promise<boolean> {
    const { decision } = await assess(this.#options.directory, route, settings);
    return decision.toStart > 0 || decision.laterMs !== null;
  }

  async #add(route: string, force: number, unconfigured: boolean): Promise<void> {
    const { defaults } = this.#options;
    const job: StartupJob = { route, force, startIds: [], ...(unconfigured && defaults ? { defaults: startDefaults(defaults) } : {}) };
    // The directory has the number of wanted instances, so no order is lost when it is merged with another one.
    await this.#queue.add('start', job, { deduplication: { id: route, keepLastIfActive: true } });
    this.#failing = false;
  }

  /** `keys`: keys of strings that were used, beside those of the queue. */
  #failed(error: unknown, keys: readonly string[] = []): void {
    if (this.#upkeep.failed(error, keys)) return;
    if (!this.#failing && !this.#closing.signal.aborted)
      this.#log.warn({ reason: reasonOf(error) }, 'startup jobs can not be ordered; trying again');
    this.#failing = true;
  }
}

function cancelId(route: string, startId: string): string {
  return `cancel-${route}-${startId}`;
}

/** A route's settings: its own, or `defaults`. @throws ConfigError when they are invalid */
function settingsOf(record: RouteRecord | null, defaults: RouteSettings | undefined): RouteSettings {
  return record === null ? (defaults ?? DEFAULT_ROUTE_SETTINGS) : parseRouteSettings(record);
}

/** The part of a node's default route settings that matters for starts. */
function startDefaults(defaults: RouteSettings): RouteRecord {
  const { minInstances, maxInstances, startTimeout } = writeRouteSettings(defaults);
  return { minInstances, maxInstances, startTimeout };
}
