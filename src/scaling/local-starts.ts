import { messageOf } from '../errors.ts';
import type { JobChange, StartupJobFacts, StartupJobs } from './startup-job.ts';

/** Finished starts that are kept for people. */
const REMEMBERED_MAX = 50;

/** The starts of this process, in the form that startup jobs have: each is a job with one run. */
export class LocalStarts {
  readonly #starts = new Map<string, StartupJobFacts>();

  /** Resolves and rejects like `start`. `written`: what the application wrote, which is asked for when it has failed. */
  async watch(route: string, startId: string, start: () => Promise<void>, written: () => string = () => ''): Promise<void> {
    const beganAt = Date.now();
    const begun: StartupJobFacts = {
      id: startId,
      route,
      state: 'active',
      attempts: 0,
      attemptsMax: 1,
      forced: 0,
      orderedAt: beganAt,
      beganAt,
      endedAt: null,
      nextTryAt: null,
      failure: null,
      runs: [],
    };
    this.#remember(begun);
    try {
      await start();
      this.#end(begun, null);
    } catch (error) {
      this.#end(begun, messageOf(error), written());
      throw error;
    }
  }

  /** At most `max` of them: running ones first, then the latest. */
  jobs(max: number): StartupJobs {
    const latestFirst = [...this.#starts.values()].reverse();
    const underWay = latestFirst.filter(({ state }) => state === 'active');
    return { jobs: [...underWay, ...latestFirst.filter(({ state }) => state !== 'active')].slice(0, max), scalers: null };
  }

  /** A start that has ended is forgotten. */
  remove(id: string): JobChange {
    const start = this.#starts.get(id);
    if (start === undefined) return 'unknown';
    if (start.state === 'active') return 'running';
    this.#starts.delete(id);
    return 'done';
  }

  /** `remove`, or with `retry` also `again`, which is to start another instance. */
  change(id: string, change: 'retry' | 'remove', again: (route: string) => void): JobChange {
    const start = this.#starts.get(id);
    if (change === 'retry' && start?.state === 'completed') return 'finished';
    const removed = this.remove(id);
    if (removed === 'done' && change === 'retry' && start !== undefined) again(start.route);
    return removed;
  }

  #end(begun: StartupJobFacts, failure: string | null, output = ''): void {
    const endedAt = Date.now();
    const { id: startId, orderedAt } = begun;
    const run = { startId, count: 1, endedAt, durationMs: endedAt - orderedAt, exitCode: failure === null ? 0 : null, failure, output };
    this.#remember({ ...begun, state: failure === null ? 'completed' : 'failed', attempts: 1, endedAt, failure, runs: [run] });
  }

  #remember(start: StartupJobFacts): void {
    this.#starts.delete(start.id);
    this.#starts.set(start.id, start);
    for (const [id, { state }] of this.#starts) {
      if (this.#starts.size <= REMEMBERED_MAX) return;
      if (state !== 'active') this.#starts.delete(id);
    }
  }
}
