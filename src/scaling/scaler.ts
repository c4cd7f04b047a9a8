/** Takes startup jobs and runs the startup command for them. Several scalers share the work, and each start is run by one of them. */

import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, type Job, RateLimitError, UnrecoverableError, Worker } from 'bullmq';
import { guard, internalError, isBug, unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { LeftOut } from '../cluster/left-out.ts';
import type { EndedStart } from '../cluster/starts.ts';
import type { Rate } from '../config/kinds.ts';
import { routeOf } from '../config/route-key.ts';
import { parseRouteSettings, type RouteSettings } from '../config/route-settings.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { AgentRoom, giveToAgent, NobodyTookIt } from './agent-starts.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';
import type { CommandResult } from './command.ts';
import { type CommandCount, CommandRunner, type CommandRunnerOptions, type Leaver } from './command-runner.ts';
import { EndedStarts, type StartCount } from './ended-starts.ts';
import { readStartupJob } from './job-data.ts';
import { type Allowed, LanePool } from './lanes.ts';
import { watchMinimum } from './minimum.ts';
import { QueueUpkeep } from './queue-upkeep.ts';
import { StartPace } from './start-pace.ts';
import { type RoundResult, runRound, type StartOrder } from './start-round.ts';
import { handOn, leavesSomething, type Starter, startBy, startedBy } from './starter.ts';
import { RUNS_KEPT_MAX, runOf, type StartupRun } from './startup-job.ts';
import { type StartupJob, StartupQueue } from './startup-queue.ts';

interface FailedStart {
  readonly startId: string;
  /** Its instance ended early. */
  readonly early: boolean;
}

export interface ScalerOptions extends CommandRunnerOptions {
  readonly redisUrl: string;
  readonly directory: Pick<
    StartDirectory,
    'startPlan' | 'beginStarts' | 'endStart' | 'wantInstances' | 'route' | 'routes' | 'endedStarts' | 'takeEnded' | 'startLinked' | 'agents'
  >;
  /** There is no startup command: starts are given to agents, and wait for them. */
  readonly agentsOnly?: boolean;
  /** How many jobs may begin in which time, over all scalers. `auto`: as many starts as `StartPace` allows. */
  readonly rate: Rate | 'auto';
  /** Jobs that run here at once; a job whose command takes long does not count. */
  readonly parallel: number;
  /** Starts instances of routes without a command. */
  readonly starter?: Starter;
}

/** The job of a scaler that was killed is taken over after about this time, by another scaler or by its successor. */
const LOCK_MS = 10_000;
const LOCK_RENEW_MS = 2_000;
const STALLED_CHECK_MS = 3_000;
/** How often to check whether the rate allows another job. */
const LIMIT_LOOK_MS = 1_000;
/** A key that expires later than this after its time is wrong. */
const LATE_MS = 1_000;
/** The death of a scaler is not the fault of the job. */
const TAKEOVERS_MAX = 100;
/** A command that takes longer is waiting for something: its place among the `parallel` jobs goes to another route. */
const SLOW_AFTER_MS = 1_000;
const SLOW_JOBS_MAX = 100;
/** A job that comes a second time while it runs here is looked at again after this time. */
const BUSY_MS = 1_000;
const REDIS_AWAITED_MS_MAX = 2_000;
/** How long close() waits for Redis after the last command has ended. */
const CLOSE_MS = 2_000;

const DONE: RoundResult = { started: 0, laterMs: null, isLimited: false };

/** Error codes of a lost connection, from the system and from Redis's client. */
const CONNECTION_TROUBLE =
  /\b(ECONN\w+|EPIPE|ETIMEDOUT|EHOST\w+|ENET\w+|ENOTFOUND|EAI_AGAIN)\b|connection is closed|socket (closed|timeout)/i;

export class Scaler {
  readonly #options: ScalerOptions;
  readonly #log: Log;
  readonly #connection: BullConnection;
  readonly #queue: StartupQueue;
  readonly #upkeep: QueueUpkeep;
  readonly #leftOut: LeftOut;
  readonly #worker: Worker<StartupJob, number>;
  readonly #lanes: LanePool;
  readonly #stopping = new AbortController();
  /** The jobs that run here, by id. */
  readonly #jobs = new Map<string, Promise<RoundResult>>();
  readonly #commands: CommandRunner;
  readonly #ended: EndedStarts;
  readonly #pace: StartPace;
  readonly #agentRoom: AgentRoom;
  #slowJobs = 0;
  #stopWatching = (): void => {};

  constructor(options: ScalerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#commands = new CommandRunner(options);
    this.#agentRoom = new AgentRoom(options.directory.agents, options.log);
    this.#lanes = new LanePool(options.parallel);
    this.#queue = new StartupQueue(options);
    this.#connection = connectBull(options.redisUrl);
    this.#leftOut = new LeftOut(options.log);
    this.#upkeep = new QueueUpkeep(this.#connection, this.#leftOut);
    this.#pace = new StartPace(this.#connection, options.rate, (error) => this.#upkeep.failed(error));
    this.#ended = new EndedStarts({
      ...options,
      cancel: (route, end) => this.#orderCancel(route, end),
      ended: (route, ends) => this.#pace.ended(route, ends),
    });
    this.#worker = new Worker<StartupJob, number>(QUEUE_NAME, (job, token, signal) => counted(this.#work(job, token, signal)), {
      connection: this.#connection,
      prefix: QUEUE_PREFIX,
      autorun: false,
      concurrency: options.parallel,
      limiter: this.#pace.limiter,
      lockDuration: LOCK_MS,
      lockRenewTime: LOCK_RENEW_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: TAKEOVERS_MAX,
      // Does not trust the lifetime of the limiter's key, see queue-upkeep.ts.
      maximumRateLimitDelay: LIMIT_LOOK_MS,
    });
    this.#reportTrouble();
  }

  /** Resolves when Redis answers and jobs are taken. */
  async start(): Promise<void> {
    await this.#worker.waitUntilReady();
    if (this.#stopping.signal.aborted) return;
    this.#worker.run().catch((error) => this.#log.error({ reason: reasonOf(error) }, 'startup jobs are no longer taken'));
    this.#pace.open();
    this.#upkeep.followClock({
      limiterMs: this.#pace.limiter.duration + LATE_MS,
      stalledCheckMs: STALLED_CHECK_MS + LATE_MS,
      lockMs: LOCK_MS,
    });
    this.#ended.start();
    this.#stopWatching = watchMinimum(this.#options.directory, (route) => this.#queue.request(route), this.#log);
  }

  /** Takes no more jobs; resolves when the running commands have ended, at the latest by their timeout. */
  async close(): Promise<void> {
    this.#stopWatching();
    this.#ended.close();
    this.#upkeep.close();
    this.#pace.close();
    this.#stopping.abort();
    // Without Redis the results of jobs can't be stored, and BullMQ would wait for ever.
    const away = this.#connection.status !== 'ready';
    const closed = this.#worker.close(away);
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs.values());
    await Promise.race([closed, delay(CLOSE_MS, undefined, { ref: false })]);
    this.#connection.disconnect();
    await this.#queue.close();
  }

  stats(): { readonly commands: readonly CommandCount[]; readonly starts: readonly StartCount[] } {
    return { commands: this.#commands.counts, starts: this.#ended.counts };
  }

  async #work(job: Job<StartupJob, number>, token: string | undefined, signal: AbortSignal | undefined): Promise<number> {
    const id = job.id ?? '';
    if (this.#jobs.has(id)) {
      // Redis was stopped and took this scaler for dead. The job runs here; look at it again later.
      await job.moveToDelayed(Date.now() + BUSY_MS, token);
      throw new DelayedError();
    }
    const leavePlace = this.#leavePlaceWhenSlow();
    const round = this.#round(job, token, signal).finally(() => {
      leavePlace();
      this.#jobs.delete(id);
    });
    this.#jobs.set(id, round);
    const { started, laterMs, isLimited } = await round;
    if (laterMs === null || this.#stopping.signal.aborted) return started;
    // The job goes back to where it was in the line: nothing has overtaken it.
    if (isLimited) throw new RateLimitError();
    // Some starts have to wait: the job stays, and orders that come meanwhile join it.
    await job.moveToDelayed(Date.now() + Math.ceil(laterMs), token);
    throw new DelayedError();
  }

  async #round(job: Job<StartupJob, number>, token: string | undefined, signal: AbortSignal | undefined): Promise<RoundResult> {
    const { directory } = this.#options;
    const takenAt = performance.now();
    const data = readStartupJob(job.name, job.data);
    // It would fail in the same way each time.
    if (typeof data === 'string') throw new UnrecoverableError(`the job is not followed: ${data}`);
    const { route, defaults, leaver, cancels, early = false } = data;
    const settings = parseRouteSettings((await directory.route(route)) ?? defaults ?? {});
    if (leaver !== undefined) return this.#stop(route, settings, leaver, signal);
    const by = startedBy(route, settings, this.#options);
    if (by === 'another' && (cancels === undefined || settings.source !== undefined)) return handOn(job, token, settings.source);
    if (cancels !== undefined) return this.#cancel(route, settings, { startId: cancels, early }, by, signal);
    const { starter } = this.#options;
    this.#ended.watch(route, settings.startTimeoutMs);
    const runs = [...(data.runs ?? [])];
    const onlyAgents = by === 'command' && (await this.#onlyAgents(route, settings));
    return runRound({
      directory,
      route,
      // An agent starts one instance at a time, and so do others that start them here.
      settings: onlyAgents || by === 'starter' ? { ...settings, startMode: 'each' } : settings,
      room: onlyAgents ? () => this.#agentRoom.of(route) : undefined,
      takenAt,
      unfinished: data,
      lanes: this.#lanes.forJob(),
      log: this.#log,
      stopping: this.#stopping.signal,
      allow: (starts, isFirst) => this.#allow(starts, isFirst),
      run: async (order) => {
        if (by === 'starter' && starter !== undefined) {
          return startBy(starter, route, order, (run) => {
            keepRun(runs, run);
            this.#commands.counted(route, run.failure === null ? 'ok' : 'failed');
          });
        }
        if (await this.#byAgent(route, settings, order, runs)) return;
        if (onlyAgents) throw new NobodyTookIt(`no agent of ${route} has taken the start`);
        await this.#start(route, settings, order, runs, signal);
      },
      remember: (unfinished) => this.#remember(job, { ...data, ...unfinished, runs }),
    });
  }

  async #allow(starts: number, isFirst: boolean): Promise<Allowed> {
    try {
      return await this.#pace.allow(starts, isFirst);
    } catch (error) {
      // Something else has written to the keys of the rate: they are moved aside, and the next try begins anew.
      this.#upkeep.failed(error);
      throw error;
    }
  }

  async #start(
    route: string,
    settings: RouteSettings,
    order: StartOrder,
    runs: StartupRun[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const begun = performance.now();
    const ended = (result: CommandResult): void => {
      keepRun(runs, runOf(order, result, Date.now()));
      // One that was stopped because its job was taken away has not failed.
      if (result.failure !== null && signal?.aborted !== true) this.#pace.ended(routeOf(route), { linked: 0, failed: 1 });
    };
    try {
      await this.#commands.start(route, settings, order, ended, signal);
    } finally {
      // The directory gives up by its own clock. Most commands end long before, and cost Redis nothing here.
      if (performance.now() - begun > settings.startTimeoutMs / 2) await this.#cancelIfLate(route, order.startId);
    }
  }

  /** A route without a command, or a scaler without any. Where no agent is linked and one of these was expected, the command's absence is the failure. */
  async #onlyAgents(route: string, settings: RouteSettings): Promise<boolean> {
    if (this.#commands.hasCommand(settings)) return false;
    return this.#options.agentsOnly === true || (await this.#options.directory.agents.room(route)).agents > 0;
  }

  /** Gives the start to an agent. False: none took it. */
  async #byAgent(route: string, settings: RouteSettings, order: StartOrder, runs: StartupRun[]): Promise<boolean> {
    const { startId } = order;
    // One command begins several of them, and agents begin one.
    if (settings.startMode === 'total' && this.#commands.hasCommand(settings)) return false;
    const given = await giveToAgent(this.#options.directory.agents, route, startId);
    if (given === null) return false;
    const { agent, durationMs } = given;
    this.#log.info({ route, startId, agent, desired: order.desired, durationMs }, 'an agent has taken a start');
    const result = { exitCode: 0, failure: null, durationMs, output: `taken by agent ${agent}` };
    keepRun(runs, { startId, count: 1, endedAt: Date.now(), ...result });
    return true;
  }

  async #stop(route: string, settings: RouteSettings, leaver: Leaver, signal: AbortSignal | undefined): Promise<RoundResult> {
    const { held, ready, starting } = await this.#options.directory.startPlan(route);
    await this.#commands.stop(route, settings, leaver, { desired: ready + starting, held, ready }, signal);
    return DONE;
  }

  async #orderCancel(route: string, end: EndedStart): Promise<void> {
    const settings = parseRouteSettings((await this.#options.directory.route(route)) ?? {});
    const { starter } = this.#options;
    const by = startedBy(route, settings, this.#options);
    if (leavesSomething(by, settings, starter)) return this.#queue.cancel(route, end);
    // Nothing is left of what was discovered: it is stopped where it was started.
    if (settings.source !== undefined) return;
    if (this.#commands.cancelCommand(settings) !== null) await this.#queue.cancel(route, end);
  }

  /** The command may have left something that was not there yet when its start was given up. Never rejects. */
  async #cancelIfLate(route: string, startId: string): Promise<void> {
    const ordered = this.#queue.cancelLate(route, startId).catch((error) => {
      this.#log.warn({ reason: reasonOf(error), route, startId }, 'what a startup command left late could not be cancelled');
    });
    await withinReach(ordered);
  }

  async #cancel(
    route: string,
    settings: RouteSettings,
    failed: FailedStart,
    by: ReturnType<typeof startedBy>,
    signal: AbortSignal | undefined,
  ): Promise<RoundResult> {
    const { directory, starter } = this.#options;
    const { startId, early } = failed;
    // It may have come late. One that its scheduler has started again would be in its start each time, if its application never listens.
    if (!(await directory.startLinked(route, startId, early))) {
      if (by === 'starter') {
        await starter?.cancel?.(startId, route);
        return DONE;
      }
      const { held, ready, starting } = await directory.startPlan(route);
      await this.#commands.cancel(route, settings, startId, { desired: ready + starting, held, ready }, signal);
    }
    return DONE;
  }

  async #remember(job: Job<StartupJob, number>, data: StartupJob): Promise<void> {
    const written = job.updateData(data).catch((error) => {
      // Redis has lost the job, and with it the place for this text.
      this.#log.debug({ reason: reasonOf(error), route: data.route }, 'a startup job is gone');
    });
    await withinReach(written);
  }

  /** Otherwise a few routes with hanging commands would take all places until their timeout, and no other route would start. */
  #leavePlaceWhenSlow(): () => void {
    let slow = false;
    const isSlow = guard('timer', () => {
      slow = true;
      this.#countSlowJobs(1);
      if (!this.#stopping.signal.aborted) unawaited('job', this.#lookForJobs());
    });
    const timer = setTimeout(isSlow, SLOW_AFTER_MS);
    return () => {
      clearTimeout(timer);
      if (slow) this.#countSlowJobs(-1);
    };
  }

  #countSlowJobs(change: 1 | -1): void {
    this.#slowJobs += change;
    this.#worker.concurrency = this.#options.parallel + Math.min(this.#slowJobs, SLOW_JOBS_MAX);
  }

  /** BullMQ's worker with no free place reads their number only when a job ends, or when it is resumed. */
  async #lookForJobs(): Promise<void> {
    await this.#worker.pause(true);
    await this.#worker.resume();
  }

  #reportTrouble(): void {
    const stalled = guard('job', (jobId: string) => this.#log.warn({ jobId }, 'a startup job was interrupted and begins again'));
    this.#worker.on('stalled', stalled);
    const failed = guard('job', (job: Job<StartupJob, number> | undefined, error: Error) => {
      if (error instanceof UnrecoverableError) return this.#leftOut.note(`startup job ${job?.id}`, error.message);
      const route: unknown = job?.data?.route;
      const again = job?.finishedOn === undefined;
      this.#log.warn({ route, jobId: job?.id, attempt: job?.attemptsMade, reason: reasonOf(error), again }, 'startup job failed');
    });
    this.#worker.on('failed', failed);
    const troubled = guard('job', (error: Error) => {
      if (this.#upkeep.failed(error)) return;
      // The queue of orders has logged already, once, that Redis is away.
      if (!CONNECTION_TROUBLE.test(error.message)) this.#log.warn({ reason: reasonOf(error) }, 'error in the queue of startup jobs');
    });
    this.#worker.on('error', troubled);
    this.#connection.on('error', () => {});
  }
}

/** BullMQ fails the job after any error and tries it again; our own bugs are counted. */
async function counted<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isBug(error)) internalError('job', error);
    throw error;
  }
}

/** While Redis is away this waits in the connection; the end of a command does not wait for it. */
async function withinReach(asked: Promise<unknown>): Promise<void> {
  await Promise.race([asked, delay(REDIS_AWAITED_MS_MAX, undefined, { ref: false })]);
}

function keepRun(runs: StartupRun[], run: StartupRun): void {
  runs.push(run);
  if (runs.length > RUNS_KEPT_MAX) runs.shift();
}
