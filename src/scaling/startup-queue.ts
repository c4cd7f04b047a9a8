/**
 * Startup jobs, as nodes order them. BullMQ keeps at most one active and one waiting job per route; which instances a
 * job starts is decided when it runs, so ordering one too many costs nothing but the job.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type JobsOptions, Queue } from 'bullmq';
import { guard } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { LeftOut } from '../cluster/left-out.ts';
import {
  DEFAULT_ROUTE_SETTINGS,
  parseRouteSettings,
  type RouteRecord,
  type RouteSettings,
  writeRouteSettings,
} from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';
import type { Leaver } from './command-runner.ts';
import { QueueUpkeep } from './queue-upkeep.ts';
import { reasonOf } from './reason.ts';
import { assess, RETRY, type Unfinished } from './start-round.ts';
import type { StartupRun } from './startup-job.ts';

export interface StartupJob extends Unfinished {
  readonly route: string;
  /** Instances that somebody asked for with this order; how many are wanted still, the directory knows. */
  readonly force: number;
  /** Settings of the node that ordered it, for a route that has none of its own. */
  readonly defaults?: RouteRecord;
  /** The job is to run the stop command for this instance. */
  readonly leaver?: Leaver;
  /** Runs of the command so far, for people who look: the last `runsKeptMax`. */
  readonly runs?: readonly StartupRun[];
}

/** A route is looked at, and a job ordered for it, at most once in this time and process. */
const REQUEST_GAP_MS = 100;
/** After a failure, where nobody else will ask again. */
const RETRY_MS = 1_000;
/** How long closing waits for Redis. */
const CLOSE_MS = 1_000;
/** The events of BullMQ's stream that are kept. */
const EVENTS_MAX = 1_000;

const JOB_OPTIONS: JobsOptions = {
  // Orders that come while a job waits for its next attempt fall together with it: it serves them all when it runs.
  attempts: RETRY.attempts,
  backoff: { type: 'exponential', delay: RETRY.firstMs, jitter: 0.5 },
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 24 * 3_600, count: 1_000 },
  stackTraceLimit: 1,
};

/** What was asked for a route since it was last looked at. */
interface Asked {
  again: boolean;
  /** Instances beyond the need; not in the directory yet. */
  force: number;
  /** In the directory, and no job is ordered for them yet. */
  wanted: number;
  served: Promise<void>;
}

export interface StartupQueueOptions {
  readonly redisUrl: string;
  readonly directory: Pick<StartDirectory, 'startPlan' | 'route' | 'wantInstances'>;
  /** Of routes that have no settings of their own; scalers, which don't know them, are told with the job. */
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
   * Clients of `route` wait for instances. Orders a startup job if something is missing; cheap enough to be called as long as they wait.
   * @param force so many instances more than the clients need; these are not lost while this process lives.
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

  /** Orders a look at the route, whoever else may have ordered one. @throws when Redis does not take it. */
  async order(route: string): Promise<void> {
    await this.#add(route, 0, (await this.#options.directory.route(route)) === null);
  }

  /** An instance has left for good: its route's stop command is to be run. */
  left(route: string, leaver: Leaver): void {
    const added = this.#queue.add('stop', { route, force: 0, startIds: [], leaver }, { jobId: `stop-${route}-${leaver.instance}` });
    added.catch((error) => this.#failed(error));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const underWay = [...this.#asked.values()].map(({ served }) => served);
    // What is on its way is waited for only while Redis answers.
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

  /** Most requests repeat what has been ordered: a look spares the job, and the scaler's rate is left to those that start something. */
  async #isMissing(route: string, settings: RouteSettings): Promise<boolean> {
    const { decision } = await assess(this.#options.directory, route, settings);
    return decision.toStart > 0 || decision.laterMs !== null;
  }

  async #add(route: string, force: number, unconfigured: boolean): Promise<void> {
    const { defaults } = this.#options;
    const job: StartupJob = { route, force, startIds: [], ...(unconfigured && defaults ? { defaults: startDefaults(defaults) } : {}) };
    // How many are wanted is in the directory, so no order is lost by falling together with another one.
    await this.#queue.add('start', job, { deduplication: { id: route, keepLastIfActive: true } });
    this.#failing = false;
  }

  /** `keys`: keys of strings that were used, beside the queue's own. */
  #failed(error: unknown, keys: readonly string[] = []): void {
    if (this.#upkeep.failed(error, keys)) return;
    if (!this.#failing && !this.#closing.signal.aborted)
      this.#log.warn({ reason: reasonOf(error) }, 'startup jobs can not be ordered; trying again');
    this.#failing = true;
  }
}

/** A route's settings: its own, or `defaults`. @throws ConfigError when they are bad */
function settingsOf(record: RouteRecord | null, defaults: RouteSettings | undefined): RouteSettings {
  return record === null ? (defaults ?? DEFAULT_ROUTE_SETTINGS) : parseRouteSettings(record);
}

/** Of a node's settings for routes that have none, those that starting goes by. */
function startDefaults(defaults: RouteSettings): RouteRecord {
  const { minInstances, maxInstances, startTimeout } = writeRouteSettings(defaults);
  return { minInstances, maxInstances, startTimeout };
}
