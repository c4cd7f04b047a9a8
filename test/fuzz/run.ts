/**
 * Fuzzes what strangers' bytes reach, guided by what they make run, for a while:
 *
 *     npm run fuzz -- [--minutes 5] [--seed 7] [--only request-head]
 *
 * What runs something new joins the corpus beside this file; what breaks something goes to crashes, shortened, and is a test from
 * then on. Exit code 1 when something broke.
 */
import { randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readInputs, TARGETS, writeInputs } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { below, mutate, type Random, randomOf } from './mutate.ts';
import type { Target } from './target.ts';

/** Inputs between two looks at the coverage. */
const BATCH = 500;
const TURN_MS = 10_000;
/** Longer inputs are slower: they join the corpus only when they are worth it. */
const CORPUS_BYTES_MAX = 2_048;
const CRASHES_MAX = 20;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' }, only: { type: 'string', multiple: true } },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
const random: Random = randomOf(seed);
const until = performance.now() + Number(values.minutes) * 60_000;
const chosen = TARGETS.filter(({ name }) => values.only === undefined || values.only.includes(name));
if (chosen.length === 0) throw new Error(`--only: expected one of ${TARGETS.map(({ name }) => name).join(', ')}`);

/** One target and what is known of it. */
class Hunt {
  readonly target: Target;
  readonly corpus: Buffer[] = [];
  readonly crashes: Buffer[];
  readonly #known = new Set<string>();
  runs = 0;
  found = 0;
  broke = 0;

  constructor(target: Target) {
    this.target = target;
    this.crashes = readInputs('crashes', target.name);
  }

  async begin(coverage: Coverage): Promise<void> {
    const inputs = [...this.target.seeds, ...readInputs('corpus', this.target.name)];
    for (const input of inputs) await this.#try(input);
    coverage.note(await coverage.fresh(this.target.sources));
    this.corpus.push(...inputs);
  }

  /** Until `turnEnds`, on the monotonic clock. */
  async turn(coverage: Coverage, turnEnds: number): Promise<void> {
    // What other targets have run meanwhile is not this one's merit.
    await coverage.fresh([]);
    while (performance.now() < turnEnds && this.broke < CRASHES_MAX) {
      const batch = Array.from({ length: BATCH }, () => mutate(this.#any(), this.#any(), this.target.words, random));
      for (const input of batch) await this.#try(input);
      if ((await coverage.fresh(this.target.sources)).length > 0) await this.#learn(batch, coverage);
      // Timers and closed links of this batch.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Which of them it was. */
  async #learn(batch: readonly Buffer[], coverage: Coverage): Promise<void> {
    for (const input of batch) {
      await this.#try(input);
      const blocks = await coverage.fresh(this.target.sources);
      coverage.note(blocks);
      if (blocks.length > 0 && input.length <= CORPUS_BYTES_MAX) {
        this.corpus.push(Buffer.from(input));
        this.found++;
      }
    }
  }

  #any(): Buffer {
    return this.corpus[below(this.corpus.length, random)] as Buffer;
  }

  async #try(input: Buffer): Promise<void> {
    this.runs++;
    const what = await failureOf(this.target, input);
    if (what === null || this.#known.has(what)) return;
    this.#known.add(what);
    const shortest = await shortened(this.target, input, what);
    console.error(`${this.target.name}: ${what}\n  ${JSON.stringify(shortest.toString('latin1'))}`);
    this.broke++;
    this.crashes.push(shortest);
    writeInputs('crashes', this.target.name, this.crashes);
  }
}

/** Where it broke and how, without the input's own words; null: it held. */
async function failureOf(target: Target, input: Buffer): Promise<string | null> {
  try {
    await target.run(input);
    return null;
  } catch (error) {
    const { name, message, stack = '' } = error as Error;
    const places = stack.split('\n').filter((line) => line.includes('/src/') || line.includes('/test/fuzz/targets/'));
    return `${name}: ${message.split('\n', 1)[0]?.slice(0, 80)}\n  ${places.slice(0, 3).join('\n  ')}`;
  }
}

/** The same failure with as few bytes as cutting finds. */
async function shortened(target: Target, input: Buffer, what: string): Promise<Buffer> {
  let best = input;
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < best.length; ) {
      const less = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if ((await failureOf(target, less)) === what) best = less;
      else at += size;
    }
  }
  return best;
}

for (const kind of ['corpus', 'crashes']) mkdirSync(new URL(`./${kind}/`, import.meta.url), { recursive: true });
console.error(`seed ${seed}`);
const coverage = new Coverage();
await coverage.start();
const hunts = chosen.map((target) => new Hunt(target));
for (const hunt of hunts) await hunt.begin(coverage);
for (let i = 0; performance.now() < until; i++) {
  const hunt = hunts[i % hunts.length] as Hunt;
  await hunt.turn(coverage, Math.min(until, performance.now() + TURN_MS));
  if (hunt.found > 0) writeInputs('corpus', hunt.target.name, hunt.corpus);
}
for (const { target, runs, found, corpus, broke } of hunts)
  console.log(JSON.stringify({ target: target.name, runs, found, corpus: corpus.length, broke }));
console.log(JSON.stringify({ blocks: coverage.blocks }));
process.exit(hunts.some(({ broke }) => broke > 0) ? 1 : 0);
