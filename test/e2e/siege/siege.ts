/**
 * A siege: first the honest clients alone, then all who do harm beside them, then alone again. Truces in between tell what comes of the
 * machine, which may be busy with other things, and what of the siege.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Orders } from './besiegers/main.ts';
import { Honest, type HonestFigures } from './honest.ts';
import { type MemoryFigures, MemoryWatch } from './memory.ts';
import { Place } from './place.ts';

const ALONE_SHARE = 0.1;
const ALONE_MS_MAX = 120_000;
/** From one truce to the next, its share, and how much of it passes until the last strikes are over. */
const ROUND_MS_MAX = 300_000;
const ROUNDS_MIN = 2;
const TRUCE_SHARE = 0.2;
const BETWEEN_SHARE = 0.25;
const SAMPLES = 400;
const SAMPLE_MS_MIN = 500;
/** Code that is not compiled yet takes longer, with and without neighbours. */
const WARM_UP_MS = 5_000;

export interface SiegeOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly nodes: number;
  /** Honest requests in a second. */
  readonly rate: number;
  /** The share of the strikes in a second that each besieger is good for. */
  readonly share: number;
  readonly only?: readonly string[] | undefined;
  readonly say: (line: string) => void;
  /** Ends it before its time, with all that was started. */
  readonly signal?: AbortSignal;
}

export interface SiegeReport {
  readonly seconds: number;
  readonly seed: number;
  readonly nodes: number;
  readonly rate: number;
  readonly strikes: Readonly<Record<string, number>>;
  readonly alone: HonestFigures;
  readonly besieged: HonestFigures;
  /** Without the siege, at times between. */
  readonly truce: HonestFigures;
  readonly after: HonestFigures;
  readonly coldStarts: HonestFigures;
  readonly failures: readonly string[];
  readonly failureCount: number;
  /** Processes that ended. */
  readonly ended: readonly string[];
  readonly memory: readonly MemoryFigures[];
  /** By node and where. */
  readonly internalErrors: Readonly<Record<string, number>>;
  /** Lines of errors in the processes' logs. */
  readonly errors: Readonly<Record<string, number>>;
  /** What should not have been. */
  readonly broken: readonly string[];
}

export async function runSiege(options: SiegeOptions): Promise<SiegeReport> {
  const { seconds, seed, nodes, rate, share, only, say, signal } = options;
  const wait = (ms: number): Promise<void> => delay(ms, undefined, { signal });
  const place = await Place.open(nodes);
  const besiegers = fork(new URL('./besiegers/main.ts', import.meta.url), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let strikes: Readonly<Record<string, number>> = {};
  besiegers.on('message', (told: { strikes?: Record<string, number> }) => {
    strikes = told.strikes ?? strikes;
  });
  try {
    await command(besiegers, { ports: place.ports, seed, share, only });
    await place.admitEvil();
    const honest = new Honest(place.ports, rate);
    const totalMs = seconds * 1_000;
    const aloneMs = Math.min(ALONE_MS_MAX, totalMs * ALONE_SHARE);
    await wait(WARM_UP_MS);
    honest.enter('before');
    honest.drop();
    await wait(aloneMs);
    const memory = new MemoryWatch(place.watched, Math.max(SAMPLE_MS_MIN, totalMs / SAMPLES));
    say(`alone: ${JSON.stringify(honest.figures('before'))}`);
    const siegeMs = totalMs - 2 * aloneMs;
    const roundMs = Math.min(ROUND_MS_MAX, siegeMs / ROUNDS_MIN);
    const truceMs = roundMs * TRUCE_SHARE;
    for (let gone = 0; gone < siegeMs; gone += roundMs) {
      honest.enter('siege');
      besiegers.send({ go: true });
      await wait(roundMs - truceMs);
      besiegers.send({ go: false });
      honest.enter('between');
      await wait(truceMs * BETWEEN_SHARE);
      honest.enter('truce');
      await wait(truceMs * (1 - BETWEEN_SHARE));
      const [besieged, truce] = [honest.figures('siege'), honest.figures('truce')];
      const failed = honest.failures.length === 0 ? 'none' : `${honest.failures.length}, the last: ${honest.failures.at(-1)}`;
      say(
        `${Math.round((gone + roundMs) / 1_000)} s: besieged ${JSON.stringify(besieged)}, truce ${JSON.stringify(truce)}, failed: ${failed}, ended: ${place.ended.join('; ') || 'none'}`,
      );
    }
    besiegers.kill('SIGKILL');
    honest.enter('after');
    await wait(aloneMs);
    await honest.stop();
    const figures = memory.stop();
    const internalErrors = await internalErrorsOf(place);
    const failures = honest.failures;
    return {
      ...{ seconds, seed, nodes, rate, strikes },
      alone: honest.figures('before'),
      besieged: honest.figures('siege'),
      truce: honest.figures('truce'),
      after: honest.figures('after'),
      coldStarts: honest.coldStarts,
      failures: failures.slice(0, 50),
      failureCount: failures.length,
      ended: [...place.ended],
      memory: figures,
      internalErrors,
      errors: Object.fromEntries(place.errors),
      broken: [
        ...(failures.length > 0 ? [`${failures.length} honest requests failed, the first: ${failures[0]}`] : []),
        ...place.ended.map((what) => `a process ended: ${what}`),
        ...figures
          .filter(({ verdict }) => verdict === 'grows')
          .map(({ process: name, mbPerHour }) => `${name} grows by ${mbPerHour} MB an hour`),
        ...Object.entries(internalErrors).map(([where, count]) => `${count} internal errors: ${where}`),
      ],
    };
  } finally {
    besiegers.kill('SIGKILL');
    await place.close();
  }
}

async function command(besiegers: ChildProcess, orders: Orders): Promise<void> {
  besiegers.send(orders);
  await once(besiegers, 'message');
}

/** What each node counts at its admin port. */
async function internalErrorsOf(place: Place): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [i, port] of place.ports.admin.entries()) {
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (response) => response.text(),
      () => '',
    );
    for (const line of text.split('\n')) {
      const sample = /^pullproxy_internal_errors_total\{.*where="(\w+)".*\} (\d+)/.exec(line);
      if (sample !== null && Number(sample[2]) > 0) found[`node ${place.ports.nodes[i]} ${sample[1]}`] = Number(sample[2]);
    }
  }
  return found;
}

/** The report for those who read. */
export function summaryOf(report: SiegeReport): string {
  const line = (what: string, { requests, p50Ms, p99Ms, maxMs }: HonestFigures): string =>
    `| ${what} | ${requests} | ${p50Ms} | ${p99Ms} | ${maxMs} |`;
  const strikes = Object.values(report.strikes).reduce((sum, count) => sum + count, 0);
  return [
    `${report.seconds} s, seed ${report.seed}, ${report.nodes} nodes, ${strikes} strikes of ${Object.keys(report.strikes).length} kinds`,
    '',
    '| honest clients | requests | p50 ms | p99 ms | most ms |',
    '| --- | --- | --- | --- | --- |',
    line('alone', report.alone),
    line('besieged', report.besieged),
    line('in truces', report.truce),
    line('alone again', report.after),
    line('cold starts', report.coldStarts),
    '',
    '| process | after the warm-up MB | at the end MB | most MB | MB an hour | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...report.memory.map(
      ({ process: name, firstMb, lastMb, mostMb, mbPerHour, errorMbPerHour, verdict }) =>
        `| ${name} | ${firstMb} | ${lastMb} | ${mostMb} | ${mbPerHour} ± ${errorMbPerHour} | ${verdict} |`,
    ),
    '',
    report.broken.length === 0 ? 'no honest request failed, no process ended, nothing grows' : report.broken.join('\n'),
  ].join('\n');
}
