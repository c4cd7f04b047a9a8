/** Many simulated schedules, one after the other; those that show something are made smaller and said with their seeds. */
import { performance } from 'node:perf_hooks';
import { findingText } from '../checker/line.ts';
import { minimise } from '../world/minimise.ts';
import { SOURCE } from '../world/source.ts';
import { loadCode } from './code.ts';
import { type SimulatedRun, simulate } from './run.ts';
import type { ShapeName } from './shapes.ts';

const REPLAYS_MAX = 30;
const SAID_MAX = 3;
const STACK_LINES = 10;
/** So many schedules from one word about how far it is to the next. */
const TOLD_EVERY = 500;

/** So many schedules, from this seed on. */
export interface Part {
  readonly shape: ShapeName;
  readonly seed: number;
  readonly schedules: number;
}

export interface ManyOptions {
  readonly parts: readonly Part[];
  /** The code that runs; without it the one beside. */
  readonly source?: string;
  /** No more after the first finding, and no smaller schedule is looked for. */
  readonly stopsAtFirst?: boolean;
  /** Errors that pullproxy itself caught count, too. */
  readonly countsInternal?: boolean;
  readonly say: (line: string) => void;
}

/** What was simulated. */
export interface Counts {
  schedules: number;
  requests: number;
  events: number;
  /** Failed requests that a fault explains. */
  explained: number;
  schedulesWithFindings: number;
  seconds: number;
}

export function noCounts(): Counts {
  return { schedules: 0, requests: 0, events: 0, explained: 0, schedulesWithFindings: 0, seconds: 0 };
}

/** Returns whether nothing was found. */
export async function simulateMany(options: ManyOptions): Promise<boolean> {
  const { parts, say, countsInternal = true } = options;
  const realNow = performance.now.bind(performance);
  const began = realNow();
  const code = await loadCode(options.source ?? SOURCE);
  const counts = noCounts();
  // Errors of peers are the rule here, and their stacks cost more than they do.
  Error.stackTraceLimit = 0;
  const shows = (run: SimulatedRun): boolean => run.findings.length > 0 || (countsInternal && run.internalErrors.length > 0);
  const tell = (): void => {
    counts.seconds = Math.round((realNow() - began) / 1_000);
    say(JSON.stringify(counts));
  };
  for (const { shape, seed: first, schedules } of parts) {
    for (let seed = first; seed < first + schedules; seed++) {
      const run = await simulate(code, shape, seed);
      count(counts, run);
      if (counts.schedules % TOLD_EVERY === 0) tell();
      if (!shows(run)) continue;
      counts.schedulesWithFindings++;
      say(`${shape} schedule of seed ${seed}: ${run.findings.length} findings, ${run.internalErrors.length} internal errors`);
      if (options.stopsAtFirst === true) {
        for (const finding of run.findings.slice(0, 1)) say(findingText(finding));
        tell();
        return false;
      }
      Error.stackTraceLimit = STACK_LINES;
      const acts = await minimise(run.acts, REPLAYS_MAX, async (fewer) => shows(await simulate(code, shape, seed, fewer)));
      const least = await simulate(code, shape, seed, acts);
      say(`with ${acts.length} of ${run.acts.length} acts: ${JSON.stringify(acts)}`);
      for (const finding of least.findings.slice(0, SAID_MAX)) say(findingText(finding));
      for (const error of least.internalErrors.slice(0, SAID_MAX)) say(error);
      Error.stackTraceLimit = 0;
    }
  }
  tell();
  return counts.schedulesWithFindings === 0;
}

function count(counts: Counts, { verdict, events }: SimulatedRun): void {
  counts.schedules++;
  counts.requests += verdict.requests;
  counts.events += events;
  counts.explained += Object.values(verdict.explained).reduce((sum, many) => sum + many, 0);
}
