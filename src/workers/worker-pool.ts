/**
 * The workers of one supervisor, always the same number. A worker that dies is replaced, after a pause that depends on how long it
 * lived; a worker that stops sending beats is killed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { guard, unawaited } from '../boundary.ts';
import type { Log } from '../log.ts';
import { BEAT_MS } from './messages.ts';
import type { Exit, WorkerProcess } from './worker-process.ts';

/** A worker hangs when it was silent for this many checks, one in BEAT_MS. Checks are counted and not time, because this process may have been stopped too. */
const SILENT_LOOKS_MAX = 10;
/** A starting worker is silent until it serves: it may have to wait for Redis, on a busy machine. */
const STARTING_LOOKS_MAX = 60;
/** A worker that is told to leave while it starts serves nobody. */
const LEAVING_AT_START_MS = 5_000;
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 5_000;
/** A worker that lived longer did not die because of its start. */
const SETTLED_AFTER_MS = 10_000;

export interface WorkerPoolOptions {
  readonly size: number;
  /** Starts the worker with this number, from 1. */
  readonly start: (number: number) => WorkerProcess;
  /** A worker has ended, for any reason. */
  readonly ended?: (worker: WorkerProcess) => void;
  readonly log: Log;
}

interface Place {
  readonly number: number;
  worker: WorkerProcess | null;
  /** Deaths in a row, each soon after its start. */
  deaths: number;
}

type State = 'new' | 'working' | 'leaving';

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #places: readonly Place[];
  readonly #leaving = new AbortController();
  #state: State = 'new';
  #rolling: Promise<void> | null = null;
  #watch: NodeJS.Timeout | null = null;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.size }, (_, i) => ({ number: i + 1, worker: null, deaths: 0 }));
  }

  /** The workers that serve now. */
  get serving(): WorkerProcess[] {
    return this.#places.flatMap(({ worker }) => (worker?.state === 'ready' ? [worker] : []));
  }

  /** Resolves when all workers serve, or were told to leave. @throws when a worker can't start, after all have been ended */
  async start(): Promise<void> {
    this.#state = 'working';
    const look = guard('timer', () => this.#look());
    this.#watch = setInterval(look, BEAT_MS);
    try {
      await Promise.all(this.#places.map((place) => this.#fill(place).ready));
    } catch (error) {
      if (!this.#isWorking()) return;
      await this.leave(0);
      throw error;
    }
    for (const place of this.#places) unawaited('worker', this.#keep(place));
  }

  /** Replaces all workers, one after the other; the others serve meanwhile. A call during a replacement joins it. */
  restartAll(): Promise<void> {
    this.#rolling ??= this.#restartAll().finally(() => {
      this.#rolling = null;
    });
    return this.#rolling;
  }

  /** Tells all to leave, serving on for `delayMs`, and resolves when they have; `timeoutMs` after that the last ones are killed. */
  async leave(timeoutMs: number, delayMs = 0): Promise<void> {
    this.#state = 'leaving';
    this.#leaving.abort();
    const workers = this.#places.flatMap(({ worker }) => (worker === null ? [] : [worker]));
    for (const worker of workers) worker.leave(delayMs);
    const overdue = guard('worker', () => this.kill());
    const unready = guard('worker', () => this.#killStarting());
    const timers = [setTimeout(overdue, delayMs + timeoutMs), setTimeout(unready, LEAVING_AT_START_MS)];
    await Promise.all(workers.map(({ ended }) => ended));
    for (const timer of timers) clearTimeout(timer);
    // A worker that hangs is killed meanwhile.
    if (this.#watch !== null) clearInterval(this.#watch);
  }

  kill(): void {
    for (const { worker } of this.#places) worker?.kill();
  }

  #killStarting(): void {
    for (const { worker } of this.#places) if (worker?.state === 'starting') worker.kill();
  }

  #fill(place: Place): WorkerProcess {
    const worker = this.#options.start(place.number);
    place.worker = worker;
    const counted = worker.ended.then(() => this.#options.ended?.(worker));
    unawaited('worker', counted);
    return worker;
  }

  #isFilled(place: Place): boolean {
    try {
      this.#fill(place);
      return true;
    } catch (error) {
      this.#options.log.error({ err: error, worker: place.number }, 'a worker can not be started; trying again');
      return false;
    }
  }

  /** Each worker that ends in this place is followed by another one. */
  async #keep(place: Place): Promise<void> {
    while (this.#isWorking()) {
      const worker = place.worker as WorkerProcess;
      const exit = await worker.ended;
      if (!this.#isWorking()) return;
      const lived = performance.now() - worker.startedAt;
      // A worker that leaves again and again without being told is treated like one that dies.
      if (worker.isLeaving || lived >= SETTLED_AFTER_MS) place.deaths = 0;
      else place.deaths++;
      const waitMs = place.deaths === 0 ? 0 : Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** (place.deaths - 1));
      this.#say(place, worker, exit, waitMs);
      await delay(waitMs, undefined, { signal: this.#leaving.signal }).catch(() => undefined);
      // There is no memory, or no file descriptor, for another process now.
      while (this.#isWorking() && !this.#isFilled(place))
        await delay(RESTART_MS_MAX, undefined, { signal: this.#leaving.signal }).catch(() => undefined);
    }
  }

  #say({ number, deaths }: Place, { pid, failure }: WorkerProcess, { code, signal }: Exit, waitMs: number): void {
    const again = waitMs > 0 ? { deaths, againInMs: waitMs } : {};
    const facts = { worker: number, pid, code, signal, ...again, ...(failure === null ? {} : { reason: failure.message }) };
    if (code === 0) this.#options.log.info(facts, 'a worker has left: another one takes its place');
    else this.#options.log.error(facts, 'a worker has died: another one takes its place');
  }

  async #restartAll(): Promise<void> {
    for (const place of this.#places) {
      const before = place.worker;
      if (before === null || !this.#isWorking()) continue;
      before.leave();
      await before.ended;
      // #keep fills its place.
      while (this.#isWorking() && (place.worker === before || (await this.#failsToStart(place.worker)))) {
        await delay(RESTART_MS_MIN, undefined, { signal: this.#leaving.signal }).catch(() => undefined);
      }
    }
  }

  #failsToStart(worker: WorkerProcess | null): Promise<boolean> {
    if (worker === null) return Promise.resolve(true);
    return worker.ready.then(
      () => false,
      () => true,
    );
  }

  #look(): void {
    for (const { number, worker } of this.#places) {
      if (worker === null || worker.state === 'over') continue;
      if (++worker.silentLooks < (worker.state === 'starting' ? STARTING_LOOKS_MAX : SILENT_LOOKS_MAX)) continue;
      this.#options.log.error({ worker: number, pid: worker.pid }, 'a worker hangs: it is killed');
      worker.kill();
    }
  }

  #isWorking(): boolean {
    return this.#state === 'working';
  }
}
