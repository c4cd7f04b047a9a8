import { describe, expect, test } from '@jest/globals';
import { LocalStarts } from '../../../src/scaling/local-starts.ts';

describe('the starts of one process', () => {
  test('are shown while they are under way, and with what came of them', async () => {
    const starts = new LocalStarts();
    const { promise, resolve } = Promise.withResolvers<void>();
    const good = starts.watch('app', 's1', () => promise);
    const bad = starts.watch('app', 's2', () => Promise.reject(new Error('ended with code 1')));
    await expect(bad).rejects.toThrow('ended with code 1');
    expect(starts.jobs(10)).toMatchObject({
      scalers: null,
      jobs: [
        { id: 's1', state: 'active', attempts: 0, endedAt: null, runs: [] },
        { id: 's2', state: 'failed', attempts: 1, failure: 'ended with code 1', runs: [{ exitCode: null, failure: 'ended with code 1' }] },
      ],
    });
    resolve();
    await good;
    expect(starts.jobs(1).jobs).toMatchObject([{ id: 's1', state: 'completed', failure: null, runs: [{ exitCode: 0, failure: null }] }]);
  });

  test('are forgotten when there are many, but never while they are under way', async () => {
    const starts = new LocalStarts();
    void starts.watch('app', 'long', () => new Promise(() => {}));
    for (let i = 0; i < 200; i++) await starts.watch('app', `s${i}`, async () => {});
    const { jobs } = starts.jobs(1_000);
    expect(jobs.length).toBeLessThanOrEqual(50);
    expect(jobs[0]).toMatchObject({ id: 'long', state: 'active' });
    expect(jobs[1]).toMatchObject({ id: 's199' });
  });
});
