/** Compares targets in alternating rounds of one run: machines are noisy, only the ratio counts. */
import { readdirSync, readFileSync } from 'node:fs';
import { median } from './load.ts';
import type { Target } from './surroundings.ts';

/** What one round of load found. */
export interface Sample {
  /** Requests, messages, or millions of bytes. */
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

export interface Measured extends Sample {
  /** By process: milliseconds on a processor for a thousand of what was counted. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

export interface Comparison {
  readonly suite: string;
  readonly name: string;
  readonly unit: 'req/s' | 'messages/s' | 'MB/s' | 'p99 ms';
  /** Medians, by target. */
  readonly targets: Readonly<Record<string, Measured>>;
  /** The first target against each other one: medians of the rounds' ratios. */
  readonly ratios: Readonly<Record<string, number>>;
  /** The ratios of all rounds. */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
}

export interface Title {
  readonly suite: string;
  readonly name: string;
  readonly unit: Comparison['unit'];
}

/** Of `targets` the first is the one that is looked at. They take turns, each round begun by another one; a first round warms up and does not count. */
export async function compare(
  title: Title,
  targets: readonly Target[],
  rounds: number,
  measure: (target: Target) => Promise<Sample>,
): Promise<Comparison> {
  const measured = new Map<string, Measured[]>(targets.map(({ name }) => [name, []]));
  for (const target of targets) await measure(target);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < targets.length; turn++) {
      const target = targets[(round + turn) % targets.length] as Target;
      measured.get(target.name)?.push(await withCpu(target, () => measure(target)));
    }
  }
  const value = (one: Measured): number => (title.unit === 'p99 ms' ? one.p99Ms : one.perSecond);
  const [first = [], ...others] = targets.map(({ name }) => measured.get(name) ?? []);
  const ratios = Object.fromEntries(
    others.map((other, i) => [(targets[i + 1] as Target).name, first.map((one, round) => value(one) / value(other[round] as Measured))]),
  );
  return {
    ...title,
    targets: Object.fromEntries([...measured].map(([name, samples]) => [name, medians(samples)])),
    ratios: Object.fromEntries(Object.entries(ratios).map(([name, each]) => [name, median(each)])),
    rounds: ratios,
  };
}

/** Nanoseconds that all threads of a process have spent on a processor (Linux: the first number of schedstat). */
export function cpuNs(pid: number): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // The thread has just ended.
    }
  }
  return sum;
}

async function withCpu({ pids }: Target, measure: () => Promise<Sample>): Promise<Measured> {
  const before = Object.entries(pids).map(([name, pid]) => ({ name, pid, ns: cpuNs(pid) }));
  const sample = await measure();
  const cpuMs = before.map(({ name, pid, ns }) => [name, (cpuNs(pid) - ns) / 1e6 / (Math.max(1, sample.count) / 1_000)]);
  return { ...sample, cpuMs: Object.fromEntries(cpuMs) };
}

function medians(samples: readonly Measured[]): Measured {
  const of = (read: (one: Measured) => number): number => median(samples.map(read));
  const processes = Object.keys(samples[0]?.cpuMs ?? {});
  return {
    count: of(({ count }) => count),
    perSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    errors: samples.reduce((sum, { errors }) => sum + errors, 0),
    cpuMs: Object.fromEntries(processes.map((name) => [name, of(({ cpuMs }) => cpuMs[name] ?? 0)])),
  };
}
