import { setTimeout as delay } from 'node:timers/promises';
import { Clients } from './clients.ts';
import { judge } from './explain.ts';
import { chooseFault, type FaultName } from './fault-names.ts';
import { type Blow, inflict } from './faults.ts';
import { IdleWatch } from './idle-watch.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface ChaosOptions {
  readonly seconds: number;
  /** Goes on beyond `seconds` until so many were sent. */
  readonly requestsMin?: number;
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
  /** Nobody listened at a node that was down: the client went to another one. */
  readonly turnedAway: number;
  /** Requests on kept connections that broke before an answer, and may be sent again. */
  readonly sentAgain: number;
  /** Failures of requests inside a process that was killed or seemed dead, by fault and reason. */
  readonly failedInside: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly failedUnexplained: number;
  readonly lost: number;
  readonly answeredTwice: number;
  readonly mixedUp: number;
  /** Requests that must not be sent a second time. */
  readonly servedTwice: number;
  readonly concurrencyViolations: number;
  readonly longestRequestMs: number;
  readonly longestIdleWhileHeldMs: number;
  readonly longestIdleWas: string;
  readonly startupCommands: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Warnings and errors that the processes logged. */
  readonly said: Readonly<Record<string, number>>;
  /** What must not be; empty when all promises were kept. */
  readonly broken: readonly string[];
}

const NODES = 3;
const SETTLE_MS = 3_000;
/** A client that is held looks again within 250 ms, whatever message was lost. Two processes that are not given the processor for seconds can't; so this is far more. */
const IDLE_MS_MAX = 3_000;

export async function runChaos({
  seconds,
  requestsMin = 0,
  seed,
  clients: count,
  only,
  say = () => {},
}: ChaosOptions): Promise<ChaosReport> {
  const random = new Random(seed);
  const world = new World();
  say(`seed ${seed}`);
  try {
    await world.start(NODES);
    const clients = new Clients(world, new Random(seed + 1));
    const watch = new IdleWatch(world);
    const served = clients.run(count);
    const watched = watch.run();
    await delay(SETTLE_MS);
    const began = performance.now();
    while (performance.now() - began < seconds * 1_000 || clients.sent < requestsMin) {
      const blow = nextBlow(random, only);
      say(line(clients, blow));
      await inflict(world, blow);
      await delay(blow.pauseMs);
    }
    await delay(SETTLE_MS);
    clients.stop();
    await served;
    watch.stop();
    await watched;
    return report(seed, Math.round((performance.now() - began) / 1_000), world, clients, watch);
  } finally {
    await world.stop();
  }
}

function nextBlow(random: Random, only: readonly FaultName[] | undefined): Blow {
  return { name: chooseFault(random, only), target: random.next(), ms: random.between(500, 5_000), pauseMs: random.between(200, 2_500) };
}

function line({ answered, sent, failures }: Clients, { name, target, ms }: Blow): string {
  const counts = `${answered} of ${sent} answered, ${failures.length} failed`;
  return `${new Date().toISOString()} ${name} (${target.toFixed(2)}, ${Math.round(ms)} ms); ${counts}`;
}

function report(seed: number, seconds: number, world: World, clients: Clients, watch: IdleWatch): ChaosReport {
  const { explained, unexplained } = judge(clients.failures, world.faults, world.concurrency);
  const violations = world.traces.violations();
  const servedTwice = world.traces.servedTwice();
  const broken = [
    ...world.endedUnasked,
    clients.lost > 0 && `${clients.lost} requests lost`,
    clients.twice > 0 && `${clients.twice} answered twice`,
    clients.mixedUp > 0 && `${clients.mixedUp} answers mixed up`,
    servedTwice.length > 0 && `${servedTwice.length} requests served twice: ${servedTwice.slice(0, 3).join(', ')}`,
    violations.length > 0 && `${violations.length} concurrency violations: ${violations[0]}`,
    watch.longestMs > IDLE_MS_MAX && `a client was held too long while a slot lay idle`,
    unexplained.length > 0 &&
      `${unexplained.length} failures that no fault explains: ${unexplained
        .slice(0, 5)
        .map((failure) => JSON.stringify({ ...failure, near: near(world, failure) }))
        .join('; ')}`,
  ].filter((text) => text !== false);
  return {
    seed,
    seconds,
    sent: clients.sent,
    answered: clients.answered,
    turnedAway: clients.turnedAway,
    sentAgain: clients.sentAgain,
    failedInside: explained,
    failedUnexplained: unexplained.length,
    lost: clients.lost,
    answeredTwice: clients.twice,
    mixedUp: clients.mixedUp,
    servedTwice: servedTwice.length,
    concurrencyViolations: violations.length,
    longestRequestMs: Math.round(clients.longestMs),
    longestIdleWhileHeldMs: Math.round(watch.longestMs),
    longestIdleWas: `${watch.longestSeen}; ${near(world, { from: watch.longestUntil - watch.longestMs, until: watch.longestUntil }).join(', ')}`,
    startupCommands: world.traces.commands(),
    faults: counts(world.faults.map(({ what }) => what)),
    said: Object.fromEntries(world.said),
    broken,
  };
}

/** What was done to the cluster around a failure: where to begin to look. */
function near({ faults }: World, { from, until }: { from: number; until: number }): string[] {
  return faults
    .filter((fault) => fault.from - 1_000 <= until && fault.over + 6_000 >= from)
    .map(
      ({ what, node, from: began, until: ended }) => `${what} ${node ?? ''} ${Math.round(began - from)}..${Math.round(ended - from)} ms`,
    );
}

function counts(names: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name of names) found[name] = (found[name] ?? 0) + 1;
  return found;
}
