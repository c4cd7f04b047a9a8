/** One simulated schedule from its seed: a cluster of random size, faults that overlap, and a quiet time in which everything has to come right. */
import { Random } from '../../e2e/chaos/random.ts';
import { Checker, type Verdict } from '../checker/checker.ts';
import type { Finding } from '../checker/line.ts';
import { type SimulatedAct, simulatedActs } from './acts.ts';
import type { Code } from './code.ts';
import { SHAPES, type ShapeName } from './shapes.ts';
import { SimulatedWorld } from './world.ts';

/** How long the last answers may take. */
const LAST_MS = 100_000;
/** Beyond this many events in one schedule something goes round in circles. */
const EVENTS_MAX = 3_000_000;

export interface SimulatedRun {
  readonly seed: number;
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  readonly internalErrors: readonly string[];
  readonly acts: readonly SimulatedAct[];
  readonly events: number;
}

/** `only`: other acts than the seed says. */
export async function simulate(code: Code, shape: ShapeName, seed: number, only?: readonly SimulatedAct[]): Promise<SimulatedRun> {
  const { sizes, acts: times, pace, endsMs } = SHAPES[shape];
  const acts = only ?? simulatedActs(seed, times);
  const { clock } = code;
  const checker = new Checker();
  const before = clock.events;
  code.internalErrors.length = 0;
  const world = new SimulatedWorld(code, sizes(new Random(seed + 3)), seed, checker, pace);
  world.says({ e: 'run', seed });
  world.start();
  let isOver = false;
  for (const act of acts) act.arrange(world);
  clock.in(endsMs, () => world.clients.stop());
  clock.in(endsMs, () => void watchEnd());
  const watchEnd = (): void => {
    if (world.clients.waiting === 0) isOver = true;
    else clock.in(10, watchEnd);
  };
  const done = (): boolean => isOver || clock.events - before > EVENTS_MAX;
  await clock.run(endsMs + LAST_MS, done);
  world.says({ e: 'quiet', seed });
  world.stop();
  const verdict = checker.end();
  return { seed, verdict, findings: checker.findings, internalErrors: [...code.internalErrors], acts, events: clock.events - before };
}
