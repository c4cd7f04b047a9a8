import { describe, expect, jest, test } from '@jest/globals';
import { runChaos } from './chaos.ts';

jest.setTimeout(240_000);

/** The same attack each time: a change that breaks this is to blame for it. `npm run chaos` draws a new one. */
const SEED = 31;

describe('a cluster that is hurt at random', () => {
  test('loses nothing but what was inside a killed process (npm run chaos runs it for longer)', async () => {
    const report = await runChaos({ seconds: 40, seed: SEED, clients: 20 });
    process.stderr.write(`chaos: ${JSON.stringify(report)}\n`);
    expect(report.broken).toEqual([]);
    expect(report.answered).toBeGreaterThan(100);
  });
});
