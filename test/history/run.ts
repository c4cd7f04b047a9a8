/**
 * A checked history, see README.md:
 *
 *     npm run history -- run [--seed N] [--minutes M] [--keep DIR] [--only ACT]...   runs a cluster under faults and checks what happened
 *     npm run history -- check DIR                                                   checks a history that is there
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkHistory } from './checker/check.ts';
import { findingText } from './checker/line.ts';
import { runHistory } from './world/run.ts';
import { isActName, scheduleOf } from './world/schedule.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '40' },
    keep: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
});
const [verb, path = ''] = positionals;
const seed = Number(values.seed ?? randomInt(2 ** 31));
const directory = values.keep ?? mkdtempSync(join(tmpdir(), 'history-'));
if (verb === 'run') {
  const ms = Number(values.minutes) * 60_000;
  console.error(`seed ${seed}`);
  const acts = scheduleOf(seed, ms, values.only?.filter(isActName) ?? null);
  const report = await runHistory({ directory, seed, ms, clients: Number(values.clients), acts, say: (line) => console.error(line) });
  await check(directory);
  console.log(JSON.stringify(report));
  if (values.keep === undefined) rmSync(directory, { recursive: true });
} else if (verb === 'check') await check(path);
else throw new Error(`history ${verb}: expected run or check`);

async function check(history: string): Promise<void> {
  const { verdict, findings } = await checkHistory(history);
  for (const finding of findings) console.log(`${findingText(finding)}\n`);
  console.log(JSON.stringify(verdict));
  if (findings.length > 0) process.exitCode = 1;
}
