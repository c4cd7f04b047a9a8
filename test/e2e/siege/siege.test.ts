import { expect, jest, test } from '@jest/globals';
import { runSiege, summaryOf } from './siege.ts';

jest.setTimeout(240_000);

/** The same siege each time. `npm run siege` draws a new one, for an hour. */
const SEED = 11;
/** What grows is told in an hour. Within seconds, nothing is to be many times what a process needs. */
const PROCESS_MB_MAX = 400;

test('honest clients of a besieged cluster are served, and no process ends (npm run siege goes on for longer)', async () => {
  const report = await runSiege({ seconds: 30, seed: SEED, nodes: 2, rate: 40, share: 0.5, say: () => {} });
  process.stderr.write(`${summaryOf(report)}\n`);
  expect(report.broken).toEqual([]);
  expect(report.memory.filter(({ mostMb }) => mostMb > PROCESS_MB_MAX)).toEqual([]);
  expect(report.besieged.requests).toBeGreaterThan(200);
});
