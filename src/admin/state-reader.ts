import type { StartupJobs } from '../scaling/startup-job.ts';
import type { AdminSource } from './admin-source.ts';
import { type AdminState, adminState } from './admin-state.ts';
import { EventHistory, type EventsNow } from './event-history.ts';
import { WaitWindow } from './waits.ts';

/** Jobs are read at most this often, however many clients ask. */
const JOBS_EVERY_MS = 1_900;
/** Jobs in each state: enough to say what fails. */
const JOBS_MAX = 15;

/** Puts together the state that people see. */
export class StateReader {
  readonly #source: AdminSource;
  readonly #events: EventHistory;
  readonly #waits = new WaitWindow();
  #jobs: { readonly readAt: number; readonly jobs: Promise<StartupJobs | null> } | null = null;

  constructor(source: AdminSource) {
    this.#source = source;
    this.#events = new EventHistory(source);
  }

  async read(): Promise<AdminState> {
    const [state, jobs, events] = await Promise.all([this.#source.state(), this.#readJobs(), this.events()]);
    return adminState(state, jobs, this.#source, this.#waits.add(state.nodes, performance.now()), events, Date.now());
  }

  /** The last events; none when they can't be read. */
  events(): Promise<EventsNow> {
    return this.#events.read().catch(() => ({ events: [], untold: [], now: Date.now() }));
  }

  /** A state without jobs is better than no state. */
  #readJobs(): Promise<StartupJobs | null> {
    if (this.#source.redisConnected === false) return Promise.resolve(null);
    const now = performance.now();
    if (this.#jobs === null || now - this.#jobs.readAt > JOBS_EVERY_MS) {
      this.#jobs = { readAt: now, jobs: this.#source.jobs(JOBS_MAX).catch(() => null) };
    }
    return this.#jobs.jobs;
  }
}
