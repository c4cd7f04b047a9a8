import { Checker, type Verdict } from './checker.ts';
import { Offsets } from './clocks.ts';
import type { Finding } from './line.ts';
import { clocksOf, readHistory } from './read.ts';

export interface Checked {
  readonly verdict: Verdict & { readonly clocks: number; readonly clockUncertaintyMs: number };
  readonly findings: readonly Finding[];
}

/** Checks the history in the directory. Clocks are compared first, where there are several. */
export async function checkHistory(directory: string): Promise<Checked> {
  const offsets = new Offsets();
  const clocks = await clocksOf(directory);
  if (clocks.size === 0) throw new Error(`there is no history in ${directory}`);
  if (clocks.size > 1) {
    for await (const line of readHistory(directory)) offsets.learn(line);
    for await (const line of readHistory(directory)) offsets.compare(line);
  }
  const checker = new Checker();
  for await (const line of readHistory(directory, offsets)) checker.take(line);
  const verdict = { ...checker.end(), clocks: clocks.size, clockUncertaintyMs: offsets.uncertaintyMs };
  return { verdict, findings: checker.findings };
}
