/** Simulated schedules in processes of their own, several at once: there is one time in each. A process that is young again has forgotten nothing that matters. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Counts, noCounts, type Part } from './many.ts';

const RUN = fileURLToPath(new URL('../run.ts', import.meta.url));
/** What lives for one schedule need not be copied twice. */
const HEAP = '--max-semi-space-size=64';
/** Simulated requests in one process, about. */
const SCHEDULES_PER_PROCESS = { whole: 200, small: 500 } as const;

export interface ParallelOptions extends Part {
  readonly workers: number;
  /** No process is begun after this time, and those that run then finish; null: all schedules are run. */
  readonly minutes: number | null;
  readonly say: (line: string) => void;
}

/** Returns whether nothing was found. */
export async function simulateInParallel({ shape, seed, schedules, workers, minutes, say }: ParallelOptions): Promise<boolean> {
  const began = performance.now();
  const most = Math.min(SCHEDULES_PER_PROCESS[shape], Math.ceil(schedules / workers));
  const sum = noCounts();
  let next = seed;
  let isClean = true;
  const mayBegin = (): boolean => next < seed + schedules && (minutes === null || performance.now() - began < minutes * 60_000);
  const work = async (): Promise<void> => {
    while (mayBegin()) {
      const first = next;
      const count = Math.min(most, seed + schedules - first);
      next += count;
      const { counts, ok } = await runOne({ shape, seed: first, schedules: count }, say);
      isClean &&= ok;
      for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += counts[key];
      const seconds = Math.round((performance.now() - began) / 1_000);
      say(JSON.stringify({ shape, seeds: `${seed}..${next - 1}`, ...sum, seconds }));
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return isClean;
}

/** What it finds is said; what it counts is returned. */
async function runOne({ shape, seed, schedules }: Part, say: (line: string) => void): Promise<{ counts: Counts; ok: boolean }> {
  const args = [HEAP, RUN, 'simulate', '--shape', shape, '--seed', String(seed), '--schedules', String(schedules)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] });
  let counts = noCounts();
  const lines = createInterface({ input: child.stderr });
  lines.on('line', (line) => {
    const said = line.startsWith('{"schedules"') ? (JSON.parse(line) as Counts) : null;
    if (said === null) say(line);
    else counts = said;
  });
  const [[code]] = await Promise.all([once(child, 'close') as Promise<[number | null]>, once(lines, 'close')]);
  if (counts.schedules < schedules) say(`the process for the seeds ${seed} to ${seed + schedules - 1} ended early, with ${code}`);
  return { counts, ok: code === 0 && counts.schedules === schedules };
}
