import { beforeEach, describe, expect, test } from '@jest/globals';
import { DEFAULT_ROUTE_SETTINGS } from '../../../src/config/route-settings.ts';
import { createLog } from '../../../src/log.ts';
import { LanePool } from '../../../src/scaling/lanes.ts';
import { type RoundOptions, type RoundResult, runRound } from '../../../src/scaling/start-round.ts';
import { FakeDirectory } from '../../support/harness/fake-directory.ts';

let directory: FakeDirectory;
beforeEach(() => {
  directory = new FakeDirectory();
});

function round(allow: NonNullable<RoundOptions['allow']>, pool = new LanePool(50)): Promise<RoundResult> {
  const [log, stopping] = [createLog('test', 'silent'), new AbortController().signal];
  const nothing = async (): Promise<void> => {};
  const own = { unfinished: { startIds: [] }, lanes: pool.forJob(), run: nothing, remember: nothing };
  return runRound({ directory, route: 'app', settings: DEFAULT_ROUTE_SETTINGS, log, stopping, allow, ...own });
}

describe('the rate of all starts', () => {
  /** Allows the given numbers of starts, one call after the other, and then none. */
  function allowing(...numbers: number[]) {
    const asked: [number, boolean][] = [];
    const allow = async (starts: number, isFirst: boolean) => {
      asked.push([starts, isFirst]);
      return { starts: Math.min(starts, numbers.shift() ?? 0), waitMs: 80 };
    };
    return { asked, allow };
  }

  test('that allows no start sends the job back, and no lane is lost', async () => {
    directory.held = 25;
    const pool = new LanePool(3);
    const { asked, allow } = allowing();
    const result = await round(allow, pool);
    expect(result).toEqual({ started: 0, laterMs: 80, isLimited: true });
    expect(asked).toEqual([[3, true]]);
    expect(directory.entered).toEqual([]);
    expect(pool.forJob().take(10)).toHaveLength(4);
  });

  test('that allows some has the others begin later, and the job is not sent back', async () => {
    directory.held = 45;
    const { asked, allow } = allowing(2);
    const result = await round(allow);
    expect(result).toEqual({ started: 2, laterMs: 80, isLimited: false });
    expect(directory.entered).toHaveLength(2);
    expect(asked[0]).toEqual([5, true]);
    // The next ones are no longer its first.
    expect(asked.slice(1).every(([, isFirst]) => !isFirst)).toBe(true);
  });

  test('is not asked again for starts that were allowed and that others entered meanwhile', async () => {
    directory.held = 15;
    let conflicts = 0;
    directory.meanwhile = () => {
      if (conflicts++ === 0) directory.entered.push('other');
    };
    const { asked, allow } = allowing(2);
    expect((await round(allow)).started).toBe(2);
    expect(asked).toEqual([[2, true]]);
  });

  test('that can not be asked ends the round with its failure, and no lane is lost', async () => {
    directory.held = 5;
    const pool = new LanePool(3);
    const allow = async () => Promise.reject(new Error('Redis did not answer in time'));
    await expect(round(allow, pool)).rejects.toThrow('Redis did not answer in time');
    expect(pool.forJob().take(10)).toHaveLength(4);
  });
});
