/**
 * A short run of real processes under a few faults. Its history breaks no rule that holds at every moment, however busy the machine is; bounds of time are
 * judged in simulated time, and in long runs by hand (`npm run history -- run`).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { checkHistory } from './checker/check.ts';
import { findingText } from './checker/line.ts';
import { runHistory } from './world/run.ts';
import type { Act } from './world/schedule.ts';

jest.setTimeout(600_000);

const AT_EVERY_MOMENT: ReadonlySet<string> = new Set(['limit', 'served once', 'its own answer', 'its route', 'whole']);
const ACTS: readonly Act[] = [
  { n: 0, what: 'move a limit', atMs: 3_000, forMs: 500, target: 0 },
  { n: 1, what: 'drain a linker', atMs: 4_000, forMs: 500, target: 0 },
  { n: 2, what: 'restart a node', atMs: 5_000, forMs: 1_000, target: 0 },
  { n: 3, what: 'kill a linker', atMs: 6_000, forMs: 500, target: 0.5 },
];

test('each answer is its own, no application has more than its limit, and no POST is served twice while processes are restarted and killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'history-'));
  try {
    const { sent } = await runHistory({ directory, seed: 1, ms: 8_000, clients: 8, acts: ACTS, nodes: 2, scalers: 1 });
    const { verdict, findings } = await checkHistory(directory);
    expect(findings.filter(({ rule }) => AT_EVERY_MOMENT.has(rule)).map(findingText)).toEqual([]);
    expect(verdict).toMatchObject({ requests: sent, clocks: 1 });
    expect(verdict.answered).toBeGreaterThan(20);
    expect(verdict.begun).toBeGreaterThanOrEqual(verdict.answered);
    expect(Object.keys(verdict.faults)).toContain('restart a node');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
