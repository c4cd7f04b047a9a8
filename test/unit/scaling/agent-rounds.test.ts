import { beforeEach, describe, expect, test } from '@jest/globals';
import { parseRouteSettings } from '../../../src/config/route-settings.ts';
import { createLog } from '../../../src/log.ts';
import { NobodyTookIt } from '../../../src/scaling/agent-starts.ts';
import { LanePool } from '../../../src/scaling/lanes.ts';
import { type RoundOptions, type RoundResult, runRound } from '../../../src/scaling/start-round.ts';
import { FakeDirectory } from '../../support/harness/fake-directory.ts';

let directory: FakeDirectory;
let left: readonly string[];
beforeEach(() => {
  directory = new FakeDirectory();
  left = [];
});

const round = (run: RoundOptions['run'], room: () => number): Promise<RoundResult> =>
  runRound({
    directory,
    route: 'app',
    settings: parseRouteSettings({}),
    unfinished: { startIds: [] },
    room: async () => room(),
    lanes: new LanePool(50).forJob(),
    log: createLog('test', 'silent'),
    stopping: new AbortController().signal,
    run,
    remember: async ({ startIds }) => {
      left = startIds;
    },
  });

describe('where agents are the only means', () => {
  test('no more starts begin than they have room for, and the others wait', async () => {
    directory.held = 45;
    let room = 2;
    let runs = 0;
    const { started, laterMs } = await round(
      async () => void runs++,
      () => Math.max(0, room--),
    );
    expect([laterMs, runs]).toEqual([1_000, started]);
    expect(started).toBeLessThanOrEqual(3);
    expect(directory.starting.size).toBe(started);
  });

  test('no start begins where they have none, and that is looked at again', async () => {
    directory.held = 45;
    const never = async (): Promise<void> => {
      throw new Error('it was started');
    };
    expect(await round(never, () => 0)).toMatchObject({ started: 0, laterMs: 1_000 });
    expect(directory.entered).toEqual([]);
  });

  test('a start that nobody took has not failed: it is taken back, and decided again later', async () => {
    directory.held = 5;
    let tries = 0;
    const refused = async (): Promise<void> => {
      tries++;
      throw new NobodyTookIt('no agent has room');
    };
    expect(await round(refused, () => 1)).toMatchObject({ started: 0, laterMs: 1_000 });
    expect([tries, directory.starting.size, directory.wanted]).toEqual([1, 0, 0]);
    expect(directory.failures).toEqual([]);
    expect(left).toEqual([]);
  });
});
