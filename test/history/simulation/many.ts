/** Many simulated schedules, one after the other; those that show something are made smaller and said with their seeds. */
import { performance } from 'node:perf_hooks';
import { findingText } from '../checker/line.ts';
import { minimise } from '../world/minimise.ts';
import { SOURCE } from '../world/source.ts';
import { loadCode } from './code.ts';
import { type SimulatedRun, simulate } from './run.ts';

const REPLAYS_MAX = 30;
const SAID_MAX = 3;
/** So many schedules from one word about how far it is to the next. */
const TOLD_EVERY = 500;

export interface ManyOptions {
  /** The seed of the first schedule; the others follow. */
  readonly seed: number;
  readonly schedules: number;
  /** The code that runs; without it the one beside. */
  readonly source?: string;
  /** No more after the first finding, and no smaller schedule is looked for. */
  readonly stopsAtFirst?: boolean;
  /** Errors that pullproxy itself caught count, too. */
  readonly countsInternal?: boolean;
  readonly say: (line: string) => void;
}

/** Returns whether nothing was found. */
export async function simulateMany(options: ManyOptions): Promise<boolean> {
  const { seed: first, schedules, say, countsInternal = true } = options;
  const realNow = performance.now.bind(performance);
  const began = realNow();
  const code = await loadCode(options.source ?? SOURCE);
  let [requests, events, explained, bad] = [0, 0, 0, 0];
  const shows = (run: SimulatedRun): boolean => run.findings.length > 0 || (countsInternal && run.internalErrors.length > 0);
  const tell = (last: number): void => {
    const seconds = Math.round((realNow() - began) / 1_000);
    say(JSON.stringify({ seeds: `${first}..${last}`, requests, events, explained, schedulesWithFindings: bad, seconds }));
  };
  for (let seed = first; seed < first + schedules; seed++) {
    const run = await simulate(code, seed);
    requests += run.verdict.requests;
    events += run.events;
    explained += Object.values(run.verdict.explained).reduce((sum, count) => sum + count, 0);
    if ((seed - first + 1) % TOLD_EVERY === 0) tell(seed);
    if (!shows(run)) continue;
    bad++;
    say(`seed ${seed}: ${run.findings.length} findings, ${run.internalErrors.length} internal errors`);
    if (options.stopsAtFirst === true) {
      for (const finding of run.findings.slice(0, 1)) say(findingText(finding));
      break;
    }
    const acts = await minimise(run.acts, REPLAYS_MAX, async (fewer) => shows(await simulate(code, seed, [...fewer])));
    const least = await simulate(code, seed, [...acts]);
    say(`with ${acts.length} of ${run.acts.length} acts: ${JSON.stringify(acts)}`);
    for (const finding of least.findings.slice(0, SAID_MAX)) say(findingText(finding));
    for (const error of least.internalErrors.slice(0, SAID_MAX)) say(error);
  }
  tell(first + schedules - 1);
  return bad === 0;
}
