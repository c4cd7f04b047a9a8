import type { AdminSource, ClusterState } from '../../../src/admin/admin-source.ts';
import type { MetricsSnapshot, RouteNumbers } from '../../../src/admin/metrics-source.ts';
import type { PauseOptions } from '../../../src/cluster/cluster.ts';
import type { HistoryRead } from '../../../src/cluster/history.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';
import type { ClusterEvent } from '../../../src/events/event.ts';
import type { JobChange, StartupJobs } from '../../../src/scaling/startup-job.ts';
import { aState, NOW } from './pictures.ts';

export function routeNumbers(name: string, changes: Partial<RouteNumbers> = {}): RouteNumbers {
  const none = { bounds: [0.1, 1], counts: [0, 0, 0], sum: 0 };
  return {
    name,
    held: 0,
    active: 0,
    slots: 0,
    free: 0,
    instances: 0,
    counts: { codes: new Map(), hold: none, coldStart: none },
    ...changes,
  };
}

/** Remembers what it was asked to do. */
export class FakeSource implements AdminSource {
  readonly version = '1.2.3';
  startedBy: AdminSource['startedBy'] = 'scalers';
  routeDefaults: RouteRecord = { holdTimeout: '30s' };
  draining = false;
  joined = true;
  drainDelayMs: number | undefined;
  redisConnected: boolean | null = true;
  redisRefusal: string | null = null;
  internalErrors = {};
  numbers: MetricsSnapshot = { routes: [], handoffs: {}, redisCommands: 0, redisConnected: true };
  picture: ClusterState = aState();
  startupJobs: StartupJobs | null = { jobs: [], scalers: 1 };
  failure: Error | null = null;
  asked = 0;
  readonly calls: unknown[][] = [];

  async jobs(): Promise<StartupJobs | null> {
    return this.startupJobs;
  }

  async changeJob(id: string, change: 'retry' | 'remove'): ReturnType<AdminSource['changeJob']> {
    await this.#note(change, id);
    return ['unknown', 'running', 'waiting', 'finished', 'impossible'].includes(id) ? (id as JobChange | 'impossible') : 'done';
  }

  async drainNode(id: string, delayMs?: number): Promise<'asked' | 'unknown' | 'impossible'> {
    await this.#note('drain', id, ...(delayMs === undefined ? [] : [delayMs]));
    return id === 'unknown' || id === 'impossible' ? id : 'asked';
  }

  reload: AdminSource['reload'] = async () => {
    await this.#note('reload');
    return { settings: [{ name: 'log-level', outcome: 'unchanged' }] };
  };

  state(): Promise<ClusterState> {
    this.asked++;
    return this.failure === null ? Promise.resolve(this.picture) : Promise.reject(this.failure);
  }

  happened: ClusterEvent[] = [];

  async events(after: string | null): ReturnType<AdminSource['events']> {
    const from = this.happened.findLastIndex(({ id }) => id === after) + 1;
    return { events: this.happened.slice(from), now: NOW, isOwn: false };
  }

  counted: HistoryRead = { now: NOW, buckets: [] };

  async history(route: string | null): Promise<HistoryRead> {
    await this.#note('history', route);
    return this.counted;
  }

  async forgetNode(id: string): Promise<boolean> {
    await this.#note('forget', id);
    return id !== 'unknown';
  }

  async metrics(): Promise<MetricsSnapshot> {
    return this.numbers;
  }

  drain(delayMs?: number): void {
    this.draining = true;
    this.drainDelayMs = delayMs;
  }

  setRoute(name: string, settings: RouteRecord): Promise<void> {
    return this.#note('set', name, settings);
  }

  deleteRoute(name: string): Promise<void> {
    return this.#note('delete', name);
  }

  async start(name: string): Promise<'asked' | 'unknown' | 'impossible'> {
    await this.#note('start', name);
    return name === 'unknown' || name === 'impossible' ? name : 'asked';
  }

  async pause(name: string, options: PauseOptions): ReturnType<AdminSource['pause']> {
    await this.#note('pause', name, options);
    if (name === 'unknown') return 'unknown';
    if (name === 'impossible') return 'too_many';
    const still = options.waitMs === 0 ? [{ node: 'n1', why: 'in flight' as const, count: 2 }] : [];
    return { pause: { id: 1, sinceMs: NOW, untilMs: NOW + options.forMs, tunnels: options.tunnels }, still, tunnels: 0 };
  }

  async resume(name: string): Promise<boolean> {
    await this.#note('resume', name);
    return name !== 'unknown';
  }

  async restart(name: string): Promise<number | 'impossible'> {
    await this.#note('restart', name);
    return name === 'impossible' ? name : name === 'unknown' ? 0 : 3;
  }

  async #note(...call: unknown[]): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.calls.push(call);
  }
}
