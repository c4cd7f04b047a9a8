/** What each process occupies once nothing is under way and all garbage is collected. */
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { rss } from '../children.ts';
import { cpuNs } from '../rounds.ts';
import type { Place, Watched } from './place.ts';

export interface Sample {
  readonly minutes: number;
  readonly requests: number;
  /** `PROCESS QUANTITY` → bytes, or how many. */
  readonly values: Readonly<Record<string, number>>;
}

/** Closed connections are noticed, and the linkers' kept ones closed, within this time. */
const SETTLE_MS = 1_500;
const ANSWER_MS_MAX = 30_000;

export class Observer {
  readonly #place: Place;
  readonly #redis: Redis;
  readonly #began = performance.now();
  readonly #cpuBefore: number;
  readonly samples: Sample[] = [];

  constructor(place: Place) {
    this.#place = place;
    this.#redis = new Redis(place.redisPort);
    // On a busy machine it fills, and with whole scripts.
    void this.#redis.config('SET', 'slowlog-max-len', '0');
    this.#cpuBefore = this.#cpuNs();
  }

  async sample(requests: number): Promise<Sample> {
    process.kill(this.#place.appPid, 'SIGUSR2');
    await pause(SETTLE_MS);
    const values: Record<string, number> = {};
    for (const watched of this.#place.watched) {
      for (const [quantity, value] of Object.entries(await within(watched.name, look(watched)))) {
        values[`${watched.name} ${quantity}`] = value;
      }
    }
    const info = await this.#redis.info();
    const number = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
    values['redis memory'] = number('used_memory');
    values['redis clients'] = number('connected_clients');
    values['redis keys'] = await this.#redis.dbsize();
    const sample = { minutes: (performance.now() - this.#began) / 60_000, requests, values };
    this.samples.push(sample);
    return sample;
  }

  /** The share of one processor that all processes and this one took since it began. */
  get shareOfProcessor(): number {
    return (this.#cpuNs() - this.#cpuBefore) / 1e6 / (performance.now() - this.#began);
  }

  close(): void {
    this.#redis.disconnect();
    for (const { inspector } of this.#place.watched) inspector.close();
  }

  #cpuNs(): number {
    const { watched, appPid } = this.#place;
    return [process.pid, appPid, ...watched.map(({ pid }) => pid)].reduce((sum, pid) => sum + cpuNs(pid), 0);
  }
}

async function look({ pid, inspector, admin }: Watched): Promise<Record<string, number>> {
  const { heapUsed, code, external, arrayBuffers } = await inspector.memoryAfterCollection();
  const objects = heapUsed - code;
  const resident = rss(pid);
  const fds = readdirSync(`/proc/${pid}/fd`).length;
  if (admin === undefined) return { resident, objects, code, external, arrayBuffers, fds };
  const metrics = (await (await fetch(`http://${admin}/metrics`)).text()).split('\n').length;
  return { resident, objects, code, external, arrayBuffers, fds, metrics };
}

async function within<T>(name: string, answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const silent = pause(ANSWER_MS_MAX, null, { signal: over.signal }).then(() => {
    throw new Error(`${name} says nothing of its memory: has it ended?`);
  });
  try {
    return await Promise.race([answer, silent]);
  } finally {
    over.abort();
  }
}
