import { randomInt } from 'node:crypto';
import { describe, expect, jest, test } from '@jest/globals';
import { runChaos } from './chaos.ts';

jest.setTimeout(240_000);

describe('a cluster that is hurt at random', () => {
  test('loses nothing but what was inside a killed process (npm run chaos runs it for longer)', async () => {
    const seed = randomInt(2 ** 31);
    const report = await runChaos({ seconds: 40, seed, clients: 20 });
    process.stderr.write(`chaos: ${JSON.stringify(report)}\n`);
    expect(report.broken).toEqual([]);
    expect(report.answered).toBeGreaterThan(100);
  });
});
