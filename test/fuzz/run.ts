/**
 * Fuzzes what strangers' bytes reach, guided by what they make run, for a while:
 *
 *     npm run fuzz -- [--minutes 5] [--seed 7] [--only request-head]
 *
 * What runs something new joins the corpus beside this file; what breaks something goes to crashes, shortened, and is a test from
 * then on. Inputs are tried in a process of its own: one that hangs it, or ends it, is a finding as well. Exit code 1 when something
 * broke.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readInputs, TARGETS, writeInputs } from './corpus.ts';
import { readCurrent } from './current-input.ts';

/** Processor time without one turn of the event loop after which a process hangs. */
const HANG_CPU_MS = 20_000;
const LOOK_MS = 2_000;
/** A target that hangs or ends the process again and again is left alone. */
const LOSSES_MAX = 3;

interface Told {
  readonly target?: string;
  readonly result?: Readonly<Record<string, number>>;
  readonly blocks?: number;
  readonly heapMb?: number;
  readonly rssMb?: number;
}

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' }, only: { type: 'string', multiple: true } },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
const until = performance.now() + Number(values.minutes) * 60_000;
const chosen = TARGETS.map(({ name }) => name).filter((name) => values.only?.includes(name) ?? true);
if (chosen.length === 0) throw new Error(`--only: expected one of ${TARGETS.map(({ name }) => name).join(', ')}`);

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-fuzz-'));
const file = join(directory, 'current');
/** Sums over all processes, by target. */
const sums = new Map<string, Record<string, number>>();
const losses = new Map<string, number>();
let last: Told = {};
let broke = false;
console.error(`seed ${seed}`);
for (let i = 0; performance.now() < until - LOOK_MS; i++) {
  const targets = chosen.filter((name) => (losses.get(name) ?? 0) < LOSSES_MAX);
  if (targets.length === 0) break;
  await hunt(targets, seed + i);
}
for (const [target, sum] of sums) console.log(JSON.stringify({ target, ...sum, lost: losses.get(target) ?? 0 }));
console.log(JSON.stringify({ blocks: last.blocks, heapMb: last.heapMb, rssMb: last.rssMb }));
rmSync(directory, { recursive: true, force: true });
process.exit(broke ? 1 : 0);

/** One process, to its end or to the end of the time. */
async function hunt(targets: readonly string[], from: number): Promise<void> {
  const minutes = (until - performance.now()) / 60_000;
  const args = ['--minutes', String(minutes), '--seed', String(from), '--file', file, ...targets.flatMap((name) => ['--only', name])];
  const child = fork(new URL('./hunter.ts', import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const results = new Map<string, Record<string, number>>();
  child.on('message', (told: Told) => {
    if (told.target === undefined) return;
    last = told;
    results.set(told.target, { ...told.result });
  });
  const hung = watch(child);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  for (const [target, result] of results) {
    const sum = sums.get(target) ?? {};
    for (const [name, value] of Object.entries(result)) sum[name] = name === 'corpus' ? value : (sum[name] ?? 0) + value;
    sums.set(target, sum);
    if ((result.broke ?? 0) > 0) broke = true;
  }
  const isHung = hung();
  if (code !== 0) lost(isHung ? 'it hangs' : `the process ended with ${code ?? signal}`);
}

/** Ends the process when it turns no more although it has a processor. Returns whether it did. */
function watch(child: ChildProcess): () => boolean {
  let usedAtBeat = 0;
  let hung = false;
  child.on('message', () => {
    usedAtBeat = cpuMs(child.pid as number);
  });
  const timer = setInterval(() => {
    if (cpuMs(child.pid as number) - usedAtBeat < HANG_CPU_MS) return;
    hung = true;
    child.kill('SIGKILL');
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    return hung;
  };
}

/** What a process has used of processors, in ms. */
function cpuMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    // utime and stime, in ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}

function lost(what: string): void {
  const { target, bytes } = readCurrent(file);
  broke = true;
  losses.set(target, (losses.get(target) ?? 0) + 1);
  console.error(`${target}: ${what}\n  ${JSON.stringify(bytes.toString('latin1'))}`);
  writeInputs('crashes', target, [...readInputs('crashes', target), bytes]);
}
