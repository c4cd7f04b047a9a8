import { setTimeout as delay } from 'node:timers/promises';
import { Clients, type Failure } from './clients.ts';
import { AFTERMATH_MS, type FaultName, inflict, isHarmful, WEIGHTS } from './faults.ts';
import { IdleWatch } from './idle-watch.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly clients: number;
  readonly only?: readonly FaultName[];
  readonly say?: (line: string) => void;
}

export interface ChaosReport {
  readonly seed: number;
  readonly seconds: number;
  readonly sent: number;
  readonly answered: number;
  readonly turnedAway: number;
  /** Failures that a killed or frozen process explains, by reason. */
  readonly failedWithAProcess: Readonly<Record<string, number>>;
  readonly failedUnexplained: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly answeredTwice: number;
  readonly mixedUp: number;
  readonly concurrencyViolations: number;
  readonly longestRequestMs: number;
  readonly longestIdleWhileHeldMs: number;
  readonly startupCommands: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Warnings and errors that the processes logged. */
  readonly said: Readonly<Record<string, number>>;
  /** What must not be; empty when all promises were kept. */
  readonly broken: readonly string[];
}

const NODES = 3;
const SETTLE_MS = 3_000;

export async function runChaos({ seconds, seed, clients: count, only, say = () => {} }: ChaosOptions): Promise<ChaosReport> {
  const random = new Random(seed);
  const world = new World();
  const faults: Record<string, number> = {};
  say(`seed ${seed}`);
  try {
    await world.start(NODES);
    const clients = new Clients(world, new Random(seed + 1));
    const watch = new IdleWatch(world);
    const served = clients.run(count);
    const watched = watch.run();
    await delay(SETTLE_MS);
    const weights = only === undefined ? WEIGHTS : (Object.fromEntries(only.map((name) => [name, WEIGHTS[name]])) as typeof WEIGHTS);
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end) {
      const name = random.weighted(weights);
      faults[name] = (faults[name] ?? 0) + 1;
      say(`${new Date().toISOString()} ${name}; ${clients.answered} of ${clients.sent} answered, ${clients.failures.length} failed`);
      await inflict(world, name, random);
      await delay(random.between(200, 2_500));
    }
    await delay(SETTLE_MS);
    clients.stop();
    await served;
    watch.stop();
    await watched;
    return report(seed, seconds, world, clients, watch, faults);
  } finally {
    await world.stop();
  }
}

function report(
  seed: number,
  seconds: number,
  world: World,
  clients: Clients,
  watch: IdleWatch,
  faults: Record<string, number>,
): ChaosReport {
  const explained = clients.failures.filter((failure) => isExplained(world, failure));
  const unexplained = clients.failures.filter((failure) => !explained.includes(failure));
  const violations = world.violations().length;
  const broken = [
    clients.lost > 0 && `${clients.lost} requests lost`,
    clients.twice > 0 && `${clients.twice} answered twice`,
    clients.mixedUp > 0 && `${clients.mixedUp} answers mixed up`,
    violations > 0 && `${violations} concurrency violations: ${world.violations()[0]}`,
    unexplained.length > 0 && `${unexplained.length} failures that no killed process explains: ${JSON.stringify(unexplained.slice(0, 3))}`,
  ].filter((line) => line !== false);
  return {
    seed,
    seconds,
    sent: clients.sent,
    answered: clients.answered,
    turnedAway: clients.turnedAway,
    failedWithAProcess: byReason(explained),
    failedUnexplained: byReason(unexplained),
    lost: clients.lost,
    answeredTwice: clients.twice,
    mixedUp: clients.mixedUp,
    concurrencyViolations: violations,
    longestRequestMs: Math.round(clients.longestMs),
    longestIdleWhileHeldMs: Math.round(watch.longestMs),
    startupCommands: world.commands(),
    faults,
    said: Object.fromEntries(world.said),
    broken,
  };
}

/** A request may fail when a process that can have served it was killed or stood still while it was under way. */
function isExplained(world: World, { node, from, until, why }: Failure): boolean {
  // The node closed a kept connection as it leaves, just as the client sent: it never took the request.
  if (why.startsWith('kept connection')) return world.faults.some((fault) => fault.node === node && overlaps(fault, from, until));
  return world.faults.some(
    (fault) => isHarmful(fault.what) && (fault.node === null || fault.node === node) && overlaps(fault, from, until),
  );
}

function overlaps(fault: { from: number; until: number }, from: number, until: number): boolean {
  return fault.from <= until && fault.until + AFTERMATH_MS >= from;
}

function byReason(failures: readonly Failure[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { why } of failures) counts[why] = (counts[why] ?? 0) + 1;
  return counts;
}
