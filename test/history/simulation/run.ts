/** One simulated schedule from its seed: a cluster of random size, faults that overlap, and a quiet time in which everything has to come right. */
import { Random } from '../../e2e/chaos/random.ts';
import { Checker, type Verdict } from '../checker/checker.ts';
import type { Finding } from '../checker/line.ts';
import { type SimulatedAct, simulatedActs } from './acts.ts';
import type { Code } from './code.ts';
import { SimulatedWorld, type WorldSizes } from './world.ts';

/** Faults come within this time, and then nothing does. */
const FAULTS_MS = 8_000;
const QUIET_MS = 12_000;
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

/** `acts`: others than the seed says. */
export async function simulate(code: Code, seed: number, acts = simulatedActs(seed, FAULTS_MS)): Promise<SimulatedRun> {
  const { clock } = code;
  const checker = new Checker();
  const before = clock.events;
  code.internalErrors.length = 0;
  const world = new SimulatedWorld(code, sizesOf(seed), seed, checker);
  world.says({ e: 'run', seed });
  world.start();
  let isOver = false;
  for (const act of acts) act.arrange(world);
  clock.in(FAULTS_MS + QUIET_MS, () => world.clients.stop());
  clock.in(FAULTS_MS + QUIET_MS, () => void watchEnd());
  const watchEnd = (): void => {
    if (world.clients.waiting === 0) isOver = true;
    else clock.in(10, watchEnd);
  };
  const done = (): boolean => isOver || clock.events - before > EVENTS_MAX;
  await clock.run(FAULTS_MS + QUIET_MS + LAST_MS, done);
  world.says({ e: 'quiet', seed });
  world.stop();
  const verdict = checker.end();
  return { seed, verdict, findings: checker.findings, internalErrors: [...code.internalErrors], acts, events: clock.events - before };
}

function sizesOf(seed: number): WorldSizes {
  const random = new Random(seed + 3);
  const plain = { name: 'plain.test', maxInstances: 1 + Math.floor(random.next() * 2.5), fair: false };
  const fair = { name: 'fair.test', maxInstances: 1 + Math.floor(random.next() * 2), fair: true };
  return {
    nodes: 1 + Math.floor(random.next() * 3),
    clients: 4 + Math.floor(random.next() * 14),
    concurrency: 1 + Math.floor(random.next() * 3),
    routes: random.next() < 0.5 ? [plain] : [plain, fair],
  };
}
