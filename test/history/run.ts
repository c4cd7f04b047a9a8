/**
 * A checked history, see README.md:
 *
 *     npm run history -- run [--seed N] [--minutes M] [--clients N] [--sentinels] [--only ACT]... [--keep DIR]
 *     npm run history -- check DIR
 *     npm run history -- simulate [--shape whole|small] [--seed N] [--schedules N] [--workers N] [--minutes M]
 *     npm run history -- mutants [--only NAME]... [--schedules N]
 *     npm run history -- tails [--seed N] [--schedules N]
 *     npm run history -- sparse [--seed N] [--schedules N] [--nodes N] [--linkers N] [--routes N]
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkHistory } from './checker/check.ts';
import { findingText } from './checker/line.ts';
import { judgeMutants } from './mutants/mutants.ts';
import { loadCode } from './simulation/code.ts';
import { simulateMany } from './simulation/many.ts';
import { simulateInParallel } from './simulation/parallel.ts';
import { isShapeName, SHAPES } from './simulation/shapes.ts';
import { measureSparse, SPARSE } from './simulation/sparse.ts';
import { measureRaises, measureTails, SCENES } from './simulation/tails.ts';
import { minimise } from './world/minimise.ts';
import { hasOwnNetwork, inOwnNetwork, ownNetworkRefusal } from './world/own-network.ts';
import { runHistory } from './world/run.ts';
import { type ActName, isActName, scheduleOf, WEIGHTS, weightsOf } from './world/schedule.ts';
import { SOURCE } from './world/source.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string' },
    shape: { type: 'string', default: 'whole' },
    workers: { type: 'string', default: '1' },
    sentinels: { type: 'boolean', default: false },
    clients: { type: 'string', default: '40' },
    schedules: { type: 'string' },
    nodes: { type: 'string', default: '12' },
    linkers: { type: 'string', default: '100' },
    routes: { type: 'string', default: '50' },
    replays: { type: 'string', default: '8' },
    keep: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
  },
});
const [verb, path = ''] = positionals;
const seed = Number(values.seed ?? randomInt(2 ** 31));
const say = (line: string): void => console.error(line);

switch (verb) {
  case 'run':
    process.exitCode = await run();
    break;
  case 'check':
    process.exitCode = (await check(path)) > 0 ? 1 : 0;
    break;
  case 'simulate':
    process.exitCode = (await simulateSome()) ? 0 : 1;
    break;
  case 'mutants':
    process.exitCode = (await judgeMutants({ only: values.only, schedules: Number(values.schedules ?? 400), say })) ? 0 : 1;
    break;
  case 'sparse':
    await sparse(Number(values.schedules ?? 1));
    break;
  case 'tails':
    await tails(Number(values.schedules ?? 1));
    break;
  default:
    throw new Error(`history ${verb}: expected run, check, simulate, mutants, tails or sparse`);
}
// What a run leaves behind must not keep the command.
process.exit();

async function run(): Promise<number> {
  const unknown = values.only.find((name) => !isActName(name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: expected one of ${Object.keys(WEIGHTS).join(', ')}`);
  const ms = Number(values.minutes ?? 5) * 60_000;
  const refusal = hasOwnNetwork() ? null : ownNetworkRefusal();
  if (refusal === null && !hasOwnNetwork()) return inOwnNetwork([...process.argv.slice(1), '--seed', String(seed)]);
  if (refusal !== null) say(`without lost packets and a clock of Redis that jumps: ${refusal}`);
  const { sentinels } = values;
  const acts = scheduleOf(seed, ms, weightsOf(values.only as ActName[], sentinels));
  say(`seed ${seed}, ${acts.length} acts`);
  const directory = values.keep ?? mkdtempSync(join(tmpdir(), 'history-'));
  const options = { seed, ms, clients: Number(values.clients), sentinels, say };
  const report = await runHistory({ ...options, directory, acts });
  const found = await check(directory);
  console.log(JSON.stringify({ seed, ...report }));
  if (found > 0) {
    say('looking for a smaller schedule');
    const least = await minimise(acts, Number(values.replays), async (fewer) => {
      const again = mkdtempSync(join(tmpdir(), 'history-'));
      await runHistory({ ...options, directory: again, acts: fewer });
      const { findings } = await checkHistory(again);
      rmSync(again, { recursive: true });
      return findings.length > 0;
    });
    console.log(JSON.stringify({ seed, smallestSchedule: least }));
  }
  if (values.keep === undefined && found === 0) rmSync(directory, { recursive: true });
  else say(`the history is in ${directory}`);
  return found > 0 || report.endedUnasked.length > 0 ? 1 : 0;
}

async function simulateSome(): Promise<boolean> {
  const { shape, minutes } = values;
  if (!isShapeName(shape)) throw new Error(`--shape ${shape}: expected one of ${Object.keys(SHAPES).join(', ')}`);
  const workers = Number(values.workers);
  const schedules = Number(values.schedules ?? (minutes === undefined ? 100 : Number.POSITIVE_INFINITY));
  const part = { shape, seed, schedules };
  if (workers === 1 && minutes === undefined) return simulateMany({ parts: [part], say });
  return simulateInParallel({ ...part, workers, minutes: minutes === undefined ? null : Number(minutes), say });
}

/** One JSON line for each seed and scene. */
async function tails(seeds: number): Promise<void> {
  const code = await loadCode(SOURCE);
  for (let i = 0; i < seeds; i++) {
    for (const [scene, crowds] of Object.entries(SCENES)) {
      console.log(JSON.stringify({ seed: seed + i, scene, ...(await measureTails(code, seed + i, crowds)) }));
    }
    console.log(JSON.stringify({ seed: seed + i, scene: 'raises of a limit', ...(await measureRaises(code, seed + i)) }));
  }
}

async function sparse(seeds: number): Promise<void> {
  const code = await loadCode(SOURCE);
  const [nodes, linkers, routes] = [Number(values.nodes), Number(values.linkers), Number(values.routes)];
  for (let i = 0; i < seeds; i++) {
    const sizes = {
      ...SPARSE,
      nodes,
      linkers,
      routes,
      requestsPerSecond: Math.round((SPARSE.requestsPerSecond * linkers) / SPARSE.linkers),
    };
    console.log(JSON.stringify({ seed: seed + i, ...sizes, ...(await measureSparse(code, seed + i, sizes)) }));
  }
}

async function check(history: string): Promise<number> {
  const { verdict, findings } = await checkHistory(history);
  for (const finding of findings) console.log(`${findingText(finding)}\n`);
  console.log(JSON.stringify(verdict));
  return findings.length;
}
