/**
 * Counts what happens at this node within buckets of time, and writes it to the directory, for charts. It reads the counters that there are
 * anyway: nothing is done per request.
 */
import { guard, internalError, isBug, unawaited } from '../boundary.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { bucketAt, HISTORY_BUCKET_MS, HISTORY_WRITE_MS, type RouteHistory } from '../cluster/history.ts';
import type { RouteCounters } from './matching/counters.ts';
import { type CountedRoute, type Marks, RunningHistory } from './running-history.ts';

const LOOK_MS = 1_000;
/** Buckets that wait for a directory that is away: some minutes. The oldest are dropped first. */
const WAITING_MAX = 20;

interface Running {
  readonly bucket: number;
  readonly history: RunningHistory;
  /** Monotonic ms. */
  readonly since: number;
  writtenAt: number;
}

export class HistoryRecorder {
  readonly #cluster: Pick<Cluster, 'self' | 'connected' | 'now' | 'history'>;
  readonly #routes: () => Iterable<CountedRoute>;
  readonly #unrouted: RouteCounters;
  readonly #marks: Marks = new WeakMap();
  readonly #waiting = new Map<number, readonly RouteHistory[]>();
  #running: Running | null = null;
  #sending: Promise<void> | null = null;
  readonly #timer: NodeJS.Timeout;

  /** `unrouted`: counts responses to requests that belong to no route. */
  constructor(
    cluster: Pick<Cluster, 'self' | 'connected' | 'now' | 'history'>,
    routes: () => Iterable<CountedRoute>,
    unrouted: RouteCounters,
  ) {
    this.#cluster = cluster;
    this.#routes = routes;
    this.#unrouted = unrouted;
    const look = guard('timer', () => this.look(cluster.now, performance.now()));
    this.#timer = setInterval(look, LOOK_MS).unref();
  }

  /** `now`: the directory's time; null: not known. `at`: monotonic. Both in ms. */
  look(now: number | null, at: number): void {
    if (now === null) return;
    const bucket = bucketAt(now);
    if (this.#running?.bucket !== bucket) {
      this.#write(at);
      this.#running = { bucket, history: new RunningHistory(this.#marks), since: at, writtenAt: at };
    }
    this.#running.history.look(this.#routes());
    if (at - this.#running.writtenAt >= HISTORY_WRITE_MS) this.#write(at);
  }

  /** Writes what is counted so far; then nothing more is counted. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#write(performance.now());
    this.#running = null;
    await this.#sending;
  }

  #write(at: number): void {
    const running = this.#running;
    if (running === null) return;
    running.writtenAt = at;
    running.history.count(this.#routes(), this.#unrouted);
    this.#waiting.delete(running.bucket);
    this.#waiting.set(running.bucket, running.history.told(Math.min(HISTORY_BUCKET_MS, Math.round(at - running.since))));
    if (this.#waiting.size > WAITING_MAX) this.#waiting.delete(this.#waiting.keys().next().value ?? 0);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = null;
    });
    unawaited('directory', this.#sending);
  }

  async #send(): Promise<void> {
    for (const [bucket, counted] of this.#waiting) {
      if (!this.#cluster.connected) return;
      try {
        await this.#cluster.history.write(this.#cluster.self.id, bucket, counted);
      } catch (error) {
        if (isBug(error)) internalError('directory', error);
        // It is written with the next one.
        return;
      }
      // More may have been counted meanwhile.
      if (this.#waiting.get(bucket) === counted) this.#waiting.delete(bucket);
    }
  }
}
