/** Faults that are sown into a copy of the code, one at a time: the checker has to find each of them in simulated schedules, or it would miss a liar. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SOURCE } from '../world/source.ts';
import { MUTANTS, type Mutant } from './list.ts';

const ONE = fileURLToPath(new URL('./one.ts', import.meta.url));
const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../../package.json', import.meta.url));

export interface MutantsOptions {
  /** Names; none: all. */
  readonly only: readonly string[];
  /** The budget of each: so many are simulated at most. */
  readonly schedules: number;
  readonly say: (line: string) => void;
}

/** Returns whether all were found. @throws Error where a patch applies no longer */
export async function judgeMutants({ only, schedules, say }: MutantsOptions): Promise<boolean> {
  const chosen = only.length === 0 ? MUTANTS : MUTANTS.filter(({ name }) => only.includes(name));
  if (chosen.length < only.length) throw new Error(`expected mutants among ${MUTANTS.map(({ name }) => name).join(', ')}`);
  for (const mutant of MUTANTS) patched(mutant);
  const missed: string[] = [];
  for (const mutant of chosen) {
    const { found, text, seconds } = await judge(mutant, schedules);
    say(`${found ? 'found ' : 'MISSED'} ${mutant.name} (${seconds} s)\n${text}`);
    if (!found) missed.push(mutant.name);
  }
  say(`${chosen.length - missed.length} of ${chosen.length} mutants found${missed.length > 0 ? `, missed: ${missed.join('; ')}` : ''}`);
  return missed.length === 0;
}

/** The text of its file. @throws Error where the patch does not apply exactly once */
export function patched({ name, file, from, to, and }: Mutant): string {
  let text = readFileSync(join(SOURCE, file), 'utf8');
  for (const change of [{ from, to }, ...(and === undefined ? [] : [and])]) {
    const parts = text.split(change.from);
    if (parts.length !== 2) throw new Error(`the mutant "${name}" does not apply: ${file} has ${parts.length - 1} times ${change.from}`);
    text = parts.join(change.to);
  }
  return text;
}

/** In a process of its own: its code is loaded once. */
async function judge(mutant: Mutant, schedules: number): Promise<{ found: boolean; text: string; seconds: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-mutant-'));
  try {
    cpSync(SOURCE, join(directory, 'src'), { recursive: true });
    cpSync(PACKAGE, join(directory, 'package.json'));
    symlinkSync(MODULES, join(directory, 'node_modules'));
    writeFileSync(join(directory, 'src', mutant.file), patched(mutant));
    const began = performance.now();
    const child = spawn(process.execPath, [ONE, join(directory, 'src'), String(mutant.seed ?? 1), String(schedules)]);
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text = `${text}${chunk}`.slice(-3_000);
      });
    }
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { found: code === 1, text: text.trim(), seconds: Math.round((performance.now() - began) / 1_000) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
