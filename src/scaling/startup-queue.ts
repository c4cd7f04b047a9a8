/**
 * Startup jobs, as nodes order them. BullMQ keeps at most one active and one waiting job per route; which instances a
 * job starts is decided when it runs, so ordering one too many costs nothing but the job.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type JobsOptions, Queue } from 'bullmq';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { StartDirectory } from '../cluster/directory.ts';
import { parseRouteSettings } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { reasonOf } from './reason.ts';
import { newStartId } from './start-ids.ts';
import { assess, RETRY, type Unfinished } from './start-round.ts';
import type { StartupRun } from './startup-job.ts';

export const QUEUE_NAME = 'startup';
/** In braces, because all keys of a queue have to lie in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{pp-bull}';

export interface StartupJob extends Unfinished {
  readonly route: string;
  /** Runs of the command so far, for people who look: the last `runsKeptMax`. */
  readonly runs?: readonly StartupRun[];
}

/** A route is looked at, and a job ordered for it, at most once in this time and process. */
const REQUEST_GAP_MS = 100;
/** After a failure, where nobody else will ask again. */
const RETRY_MS = 1_000;
/** How long closing waits for Redis. */
const CLOSE_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** A connection that owes an answer for so long is cut: longer than BullMQ's blocking wait for jobs, which takes up to 10 s. */
const SILENCE_MS_MAX = 15_000;
/** How long a connection that is ended may still linger. */
const DISCONNECT_MS_MAX = 200;
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
  force: number;
  served: Promise<void>;
}

export class StartupQueue {
  readonly #directory: Pick<StartDirectory, 'startPlan' | 'route'>;
  readonly #log: Log;
  readonly #connection: BullConnection;
  readonly #queue: Queue<StartupJob>;
  readonly #asked = new Map<string, Asked>();
  readonly #closing = new AbortController();
  #failing = false;

  constructor({ redisUrl, directory, log }: { redisUrl: string; directory: Pick<StartDirectory, 'startPlan' | 'route'>; log: Log }) {
    this.#directory = directory;
    this.#log = log;
    this.#connection = connectBull(redisUrl);
    this.#queue = new Queue<StartupJob>(QUEUE_NAME, {
      connection: this.#connection,
      prefix: QUEUE_PREFIX,
      defaultJobOptions: JOB_OPTIONS,
      streams: { events: { maxLen: EVENTS_MAX } },
    });
    this.#queue.on('error', (error) => this.#failed(error));
  }

  /**
   * Clients of `route` wait for instances. Orders a startup job if something is missing; cheap enough to be called as long as they wait.
   * @param force so many instances more than the clients need; these are never merged with other requests nor lost while this process lives.
   */
  request(route: string, force = 0): void {
    if (this.#closing.signal.aborted) return;
    const asked = this.#asked.get(route);
    if (asked) {
      asked.again = true;
      asked.force += force;
      return;
    }
    const first: Asked = { again: true, force, served: Promise.resolve() };
    this.#asked.set(route, first);
    first.served = this.#serve(route, first);
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
      const { force } = asked;
      asked.again = false;
      asked.force = 0;
      const done = await this.#order(route, force);
      if (!done && force > 0) {
        asked.again = true;
        asked.force += force;
      }
      await delay(done ? REQUEST_GAP_MS : RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    this.#asked.delete(route);
  }

  async #order(route: string, force: number): Promise<boolean> {
    try {
      if (force > 0 || (await this.#isMissing(route))) await this.#add(route, force);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Most requests repeat what has been ordered: a look spares the job, and the scaler's rate is left to those that start something. */
  async #isMissing(route: string): Promise<boolean> {
    const settings = parseRouteSettings((await this.#directory.route(route)) ?? {});
    const { decision } = await assess(this.#directory, route, settings, 0);
    return decision.toStart > 0;
  }

  async #add(route: string, force: number): Promise<void> {
    const job: StartupJob = { route, force, startIds: [] };
    // An order of its own where somebody wants more instances: merged with another one its number would be lost. The id
    // makes it one job although the command may be sent again after a reconnect.
    const merge: JobsOptions = force > 0 ? { jobId: `force-${newStartId()}` } : { deduplication: { id: route, keepLastIfActive: true } };
    await this.#queue.add('start', job, merge);
    this.#failing = false;
  }

  #failed(error: unknown): void {
    if (!this.#failing && !this.#closing.signal.aborted)
      this.#log.warn({ reason: reasonOf(error) }, 'startup jobs can not be ordered; trying again');
    this.#failing = true;
  }
}

export type BullConnection = Redis | Cluster;

/**
 * A connection as BullMQ wants it: commands wait for the connection to come back instead of failing, so what uses it
 * has to bound what it sends. Several URLs, separated by commas, are nodes of a Redis Cluster.
 */
export function connectBull(redisUrl: string): BullConnection {
  const urls = redisUrl.split(',').map((url) => new URL(url.trim()));
  const [first] = urls;
  const options: RedisOptions = {
    maxRetriesPerRequest: null,
    retryStrategy: reconnectMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS_MAX,
    disconnectTimeout: DISCONNECT_MS_MAX,
  };
  if (first === undefined || urls.length === 1) return new Redis(redisUrl.trim(), options);
  return new Cluster(
    urls.map(({ hostname, port }) => ({ host: hostname, port: Number(port || 6379) })),
    {
      clusterRetryStrategy: reconnectMs,
      redisOptions: {
        ...options,
        username: decodeURIComponent(first.username) || undefined,
        password: decodeURIComponent(first.password) || undefined,
        tls: first.protocol === 'rediss:' ? {} : undefined,
      },
    },
  );
}

function reconnectMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), 1_000);
}
