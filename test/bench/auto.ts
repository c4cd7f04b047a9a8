/**
 * The limit that `--concurrency auto` finds against the best fixed one, found by a sweep in the same run, for applications of several kinds
 * under 1.4 times the load that they can serve:
 *
 *     npm run bench:auto [-- --only busy,pool] [--sweep-seconds 3] [--app-core 1] [--out test/bench/results]
 *
 * With `--app-core` what computes has a core of its own; run the rest on the others: `taskset -c 0 npm run bench:auto -- --app-core 1`.
 * Needs Linux and redis-server.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CASES, type Case, type Phase } from './auto/cases.ts';
import { picture, table } from './auto/report.ts';
import type { CaseResult, PhaseResult } from './auto/result.ts';
import { type Place, startPlace, trial } from './auto/trial.ts';
import { bestOf, type Figures, figuresOf, settledAfterMs } from './auto/verdict.ts';
import { Surroundings } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    'sweep-seconds': { type: 'string', default: '3' },
    'app-core': { type: 'string' },
    out: { type: 'string' },
  },
});
/** The warm-up of a trial: V8 compiles meanwhile. */
const WARM_UP_SECONDS = 1;
const LOAD = 1.4;

type Swept = Omit<PhaseResult, 'auto' | 'settledMs' | 'fromMs'>;

const only = values.only?.split(',') ?? Object.keys(CASES);
const unknown = only.filter((name) => !Object.hasOwn(CASES, name));
if (unknown.length > 0) {
  console.error(`--only: no application is called ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`);
  process.exit(2);
}
const out = values.out ?? fileURLToPath(new URL('./results', import.meta.url));
mkdirSync(out, { recursive: true });
const results: CaseResult[] = [];
for (const name of only) {
  const surroundings = new Surroundings();
  try {
    const place = await startPlace(surroundings, values['app-core']);
    const result = await compared(place, CASES[name] as Case);
    results.push(result);
    writeFileSync(join(out, `auto-${name}.svg`), picture(result));
  } finally {
    await surroundings.close();
  }
}
console.log(`\n${table(results)}`);
process.exit();

async function compared(place: Place, one: Case): Promise<CaseResult> {
  console.log(`${one.name}:`);
  const swept: Swept[] = [];
  for (const phase of one.phases) {
    const same = swept.find(({ phase: { workers } }) => workers === phase.workers);
    swept.push(same === undefined ? await sweep(place, one, phase) : { ...same, phase });
  }
  const loads = swept.map(({ phase: { seconds }, best }) => ({ perSecond: LOAD * best.goodput, seconds }));
  const found = await trial(place, one, one.phases, 'auto', loads);
  let fromMs = 0;
  const phases = swept.map((result) => {
    const { phase, best } = result;
    const toMs = fromMs + phase.seconds * 1_000;
    const settledMs = settledAfterMs(found, best, fromMs, toMs);
    const auto = figuresOf(found, fromMs + (settledMs ?? phase.seconds * 500), toMs);
    const limits = found.limits.filter(([atMs]) => atMs >= fromMs && atMs < toMs).map(([, now]) => now);
    console.log(
      `  auto against ${best.limit}: goodput ${(auto.goodput / best.goodput).toFixed(3)}, inside ${(auto.insideMs / best.insideMs).toFixed(2)}, settled after ${settledMs === null ? 'never' : `${settledMs / 1_000} s`}, refused ${found.refused}; limits ${limits.join(' ')}`,
    );
    const whole = { ...result, auto, settledMs, fromMs };
    fromMs = toMs;
    return whole;
  });
  return { name: one.name, phases, limits: found.limits, refused: found.refused };
}

async function sweep(place: Place, one: Case, phase: Phase): Promise<Swept> {
  const seconds = WARM_UP_SECONDS + Number(values['sweep-seconds']);
  const tried = new Map<number, Figures>();
  for (const limit of phase.limits) {
    const done = await trial(place, one, [{ ...phase, seconds }], limit, [{ perSecond: LOAD * phase.perSecond, seconds }]);
    const figures = figuresOf(done, WARM_UP_SECONDS * 1_000, seconds * 1_000);
    tried.set(limit, figures);
    console.log(
      `  limit ${limit}: ${figures.goodput.toFixed(1)}/s, inside ${figures.insideMs.toFixed(1)} ms${done.refused > 0 ? `, refused ${done.refused}` : ''}`,
    );
  }
  return { phase, tried, best: bestOf(tried) };
}
