/** The process that tries inputs. run.ts watches it: it may hang, or end, of what it tries. */
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { poisonReads } from '../../src/memory/reused-reads.ts';
import { readInputs, TARGETS, writeInputs } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { InputFile } from './current-input.ts';
import { noteEscaped } from './escaped.ts';
import { Hunt } from './hunt.ts';
import { randomOf } from './mutate.ts';

const TURN_MS = 10_000;
const BEAT_MS = 1_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
    file: { type: 'string', default: '/dev/null' },
  },
});
const random = randomOf(Number(values.seed));
const until = performance.now() + Number(values.minutes) * 60_000;

for (const kind of ['corpus', 'crashes']) mkdirSync(new URL(`./${kind}/`, import.meta.url), { recursive: true });
noteEscaped();
poisonReads();
process.once('disconnect', () => process.exit());
setInterval(() => process.send?.({ beat: process.cpuUsage() }), BEAT_MS).unref();
const coverage = new Coverage();
await coverage.start();
const file = new InputFile(values.file);
const hunts = TARGETS.filter(({ name }) => values.only?.includes(name) ?? true).map((target) => new Hunt(target, random, file));
for (const hunt of hunts) await hunt.begin(coverage);
for (let i = 0; performance.now() < until; i++) {
  const hunt = hunts[i % hunts.length] as Hunt;
  await hunt.turn(coverage, Math.min(until, performance.now() + TURN_MS));
  if (hunt.found > 0) writeInputs('corpus', hunt.target.name, [...new Set([...readInputs('corpus', hunt.target.name), ...hunt.corpus])]);
  tell(hunt);
}
for (const { target } of hunts) await target.restart?.();
file.close();
process.exit();

function tell({ target, runs, found, corpus, broke, ms }: Hunt): void {
  const { heapUsed, rss } = process.memoryUsage();
  const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
  const result = { runs, found, corpus: corpus.length, broke, seconds: Math.round(ms / 1_000) };
  process.send?.({ target: target.name, result, blocks: coverage.blocks, heapMb: megabytes(heapUsed), rssMb: megabytes(rss) });
}
