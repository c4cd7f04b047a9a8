import { setTimeout as delay } from 'node:timers/promises';
import { type Job, Queue } from 'bullmq';
import { DirectoryUnavailable } from '../cluster/directory.ts';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';
import { readStartupJob } from './job-data.ts';
import { readStartRate } from './start-pace.ts';
import { factsOf, type JobChange, type StartRate, type StartupJobFacts, type StartupJobState, type StartupJobs } from './startup-job.ts';
import { JOB_OPTIONS, type StartupJob } from './startup-queue.ts';

/** How long to wait for Redis. */
const REPLY_MS_MAX = 2_000;
/** The list of Redis's connections can be long, so it is not read each time. */
const SCALERS_KNOWN_MS = 5_000;
const UNDER_WAY = ['active', 'waiting', 'delayed'] as const;
const OVER = ['failed', 'completed'] as const;

/** Startup jobs for operators: reads them, tries one again, removes one. Connects at the first call. */
export class StartupJobReader {
  readonly #redisUrl: string;
  #open: { readonly connection: BullConnection; readonly queue: Queue<StartupJob> } | null = null;
  #scalers = { count: 0, askedAt: Number.NEGATIVE_INFINITY };

  constructor(redisUrl: string) {
    this.#redisUrl = redisUrl;
  }

  /** At most `max` jobs in each state. Null when Redis does not answer. */
  async read(max: number): Promise<StartupJobs | null> {
    const answers = Promise.all([this.#inStates(UNDER_WAY, max), this.#inStates(OVER, max), this.#countScalers(), this.#rate()]);
    const late = delay(REPLY_MS_MAX, null, { ref: false });
    // A later failure has no caller.
    const answer = await Promise.race([answers, late]).catch(() => null);
    answers.catch(() => undefined);
    if (answer === null) return null;
    const [underWay, over, scalers, rate] = answer;
    return { jobs: [...underWay, ...over], scalers, rate };
  }

  /** How fast starts begin, and the jobs that wait. Null when Redis does not answer, or others have written to these keys. */
  async rate(): Promise<StartRate | null> {
    const late = delay(REPLY_MS_MAX, null, { ref: false });
    const read = this.#rate();
    read.catch(() => undefined);
    return Promise.race([read, late]).catch(() => null);
  }

  #rate(): Promise<StartRate | null> {
    this.#queue();
    const connection = this.#open?.connection;
    return connection === undefined ? Promise.resolve(null) : readStartRate(connection, Date.now()).catch(unlessAway);
  }

  /** Tries it again, now. @throws DirectoryUnavailable when Redis does not answer in time */
  retry(id: string): Promise<JobChange> {
    return this.#change(id, async (job, state) => {
      if (state === 'completed') return 'finished';
      if (state === 'delayed') {
        await job.promote();
      } else if (state === 'failed' && job.name === 'start') {
        // As a new order, so that it is merged with one that is there: a route has one active job at most.
        const { runs: _, ...data } = job.data;
        await this.#queue().add('start', data, { ...JOB_OPTIONS, deduplication: { id: data.route, keepLastIfActive: true } });
        await job.remove();
      } else if (state === 'failed') {
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
      } else {
        return 'waiting';
      }
      return 'done';
    });
  }

  /** Removes one that does not run. @throws DirectoryUnavailable when Redis does not answer in time */
  remove(id: string): Promise<JobChange> {
    return this.#change(id, async (job) => {
      await job.remove();
      return 'done';
    });
  }

  async #change(id: string, act: (job: Job<StartupJob>, state: string) => Promise<JobChange>): Promise<JobChange> {
    const late = delay(REPLY_MS_MAX, null, { ref: false });
    const changed = await Promise.race([this.#changeNow(id, act), late]);
    if (changed === null) throw new DirectoryUnavailable('Redis did not answer in time');
    return changed;
  }

  async #changeNow(id: string, act: (job: Job<StartupJob>, state: string) => Promise<JobChange>): Promise<JobChange> {
    const job = await this.#queue().getJob(id).catch(unlessAway);
    // Other keys of the queue, and what others wrote there, are no jobs.
    if (job === undefined || job === null || typeof readStartupJob(job.name, job.data) === 'string') return 'unknown';
    const state = await job.getState();
    if (state === 'active') return 'running';
    try {
      return await act(job, state);
    } catch (error) {
      // A scaler has taken it meanwhile, or somebody has removed it.
      const now = await job.getState().catch(() => 'unknown');
      if (now === 'active') return 'running';
      if (now === 'unknown') return 'unknown';
      throw error;
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open === null) return;
    if (open.connection.status === 'ready') await Promise.race([open.queue.close(), delay(REPLY_MS_MAX, undefined, { ref: false })]);
    open.connection.disconnect();
  }

  /** Latest first. */
  async #inStates(states: readonly StartupJobState[], max: number): Promise<StartupJobFacts[]> {
    const found = await Promise.all(states.map((state) => this.#inState(state, max)));
    return found.flat().sort((a, b) => lastSign(b) - lastSign(a));
  }

  async #inState(state: StartupJobState, max: number): Promise<StartupJobFacts[]> {
    // A job that can't be read (another type, or not JSON) must not hide the others, and such a list must not hide the other states.
    const ids = await this.#queue()
      .getRanges([state], 0, max - 1)
      .catch(unlessAway);
    const found = await Promise.all((ids ?? []).slice(0, max).map((id) => this.#read(id, state)));
    return found.flatMap((job) => job ?? []);
  }

  async #read(id: string, state: StartupJobState): Promise<StartupJobFacts | null> {
    const job = await this.#queue().getJob(id).catch(unlessAway);
    // The job was removed meanwhile.
    if (job === undefined || job === null) return null;
    const said = readStartupJob(job.name, job.data);
    return typeof said === 'string' ? null : factsOf(job, said, state);
  }

  async #countScalers(): Promise<number> {
    const now = performance.now();
    if (now - this.#scalers.askedAt > SCALERS_KNOWN_MS) this.#scalers = { count: await this.#queue().getWorkersCount(), askedAt: now };
    return this.#scalers.count;
  }

  #queue(): Queue<StartupJob> {
    if (this.#open === null) {
      const connection = connectBull(this.#redisUrl);
      connection.on('error', () => {});
      const queue = new Queue<StartupJob>(QUEUE_NAME, { connection, prefix: QUEUE_PREFIX });
      queue.on('error', () => {});
      this.#open = { connection, queue };
    }
    return this.#open.queue;
  }
}

/** Null when Redis or its client refuses because of a stored value; other errors are those of the connection. */
function unlessAway(error: unknown): null {
  if (error instanceof Error && /^(Connection|connect |read |Socket)|ECONN|closed/i.test(error.message)) throw error;
  return null;
}

function lastSign({ endedAt, beganAt, orderedAt }: StartupJobFacts): number {
  return endedAt ?? beganAt ?? orderedAt;
}
