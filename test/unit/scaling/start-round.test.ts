import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { parseRouteSettings, type RouteRecord } from '../../../src/config/route-settings.ts';
import { createLog } from '../../../src/log.ts';
import { LanePool } from '../../../src/scaling/lanes.ts';
import { type RoundOptions, type RoundResult, runRound, type StartOrder, type Unfinished } from '../../../src/scaling/start-round.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectory } from '../../support/harness/fake-directory.ts';

const LANES = 50;
const NOTHING: Unfinished = { startIds: [], wantedIds: [] };

let directory: FakeDirectory;
let orders: StartOrder[];
let remembered: Unfinished[];
beforeEach(() => {
  directory = new FakeDirectory();
  orders = [];
  remembered = [];
});

interface Given extends Partial<Omit<RoundOptions, 'settings' | 'run'>> {
  readonly settings?: RouteRecord;
  /** What the command does. */
  readonly run?: (order: StartOrder) => Promise<void>;
}

async function round({ settings, run, ...given }: Given = {}): Promise<number> {
  const { started } = await runRound({
    directory,
    route: 'app',
    settings: parseRouteSettings(settings ?? {}),
    unfinished: NOTHING,
    lanes: new LanePool(LANES).forJob(),
    log: createLog('test', 'silent'),
    stopping: new AbortController().signal,
    remember: async (unfinished) => void remembered.push(unfinished),
    ...given,
    run: async (order) => {
      orders.push(order);
      await run?.(order);
    },
  });
  return started;
}

function runRoundOf(settings: RouteRecord): Promise<RoundResult> {
  return runRound({
    directory,
    route: 'app',
    settings: parseRouteSettings(settings),
    unfinished: NOTHING,
    lanes: new LanePool(LANES).forJob(),
    log: createLog('test', 'silent'),
    stopping: new AbortController().signal,
    remember: async () => {},
    run: async (order) => void orders.push(order),
  });
}

const lastRemembered = (): Unfinished | undefined => remembered.at(-1);

describe('a round', () => {
  test('runs the command once for each missing instance, each with its own id', async () => {
    directory.held = 10_000;
    expect(await round({ settings: { maxInstances: 7 } })).toBe(7);
    expect(orders).toHaveLength(7);
    expect(new Set(orders.map(({ startId }) => startId)).size).toBe(7);
    expect(orders[0]).toMatchObject({ desired: 7, count: 1, held: 10_000, ready: 0 });
    expect([...directory.starting].sort()).toEqual(orders.map(({ startId }) => startId).sort());
  });

  test('runs nothing when what has been begun is enough', async () => {
    directory.held = 25;
    directory.instances = [10];
    for (const id of ['a', 'b', 'c']) directory.starting.add(id);
    expect(await round()).toBe(0);
    expect(orders).toEqual([]);
  });

  test('runs the command once for all where the route says so', async () => {
    directory.held = 35;
    directory.instances = [10];
    expect(await round({ settings: { startMode: 'total' } })).toBe(4);
    expect(orders).toEqual([{ startId: expect.stringMatching(/^[a-z0-9]+$/), desired: 5, count: 4, held: 35, ready: 1 }]);
    expect(directory.starting.size).toBe(4);
  });

  test('begins what clients come to need while a command runs', async () => {
    directory.held = 5;
    let hangingEnds = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      hangingEnds = resolve;
    });
    const done = round({ run: () => (orders.length === 1 ? hanging : Promise.resolve()) });
    await eventually('the command runs', () => orders.length === 1);
    directory.held = 30;
    await eventually('it runs for the others', () => orders.length === 3);
    hangingEnds();
    expect(await done).toBe(3);
  });

  test('waits with a second command for all until the first has ended: scale to 5 and scale to 6 must not overtake each other', async () => {
    directory.held = 50;
    let running = 0;
    let most = 0;
    const run = async (): Promise<void> => {
      most = Math.max(most, ++running);
      directory.held = 80;
      await delay(400);
      running -= 1;
    };
    expect(await round({ settings: { startMode: 'total' }, run })).toBe(8);
    expect(orders.map(({ desired, count }) => [desired, count])).toEqual([
      [5, 5],
      [8, 3],
    ]);
    expect(most).toBe(1);
  });

  test('begins no more than there are lanes, and goes on as they come free', async () => {
    directory.held = 100;
    let running = 0;
    let most = 0;
    let ended = 0;
    let beforehand = 0;
    const run = async (): Promise<void> => {
      most = Math.max(most, ++running);
      beforehand = Math.max(beforehand, directory.entered.length - ended);
      await delay(5);
      running -= 1;
      ended += 1;
    };
    expect(await round({ run, lanes: new LanePool(2).forJob() })).toBe(10);
    expect(most).toBe(3);
    // A start whose command waits for a lane would use up its time.
    expect(beforehand).toBe(3);
  });

  test('begins nothing more once it is to stop, but what was ordered', async () => {
    directory.held = 5;
    const run = async (): Promise<void> => {
      directory.held = 50;
      await delay(300);
    };
    expect(await round({ run, stopping: AbortSignal.abort() })).toBe(1);
  });
});

describe('decisions at the same time', () => {
  test('start together what one would have started', async () => {
    directory.held = 73;
    const started = await Promise.all([round(), round(), round(), round()]);
    expect(started.reduce((sum, count) => sum + count)).toBe(8);
    expect(directory.entered).toHaveLength(8);
  });

  test('are made again when another start was begun in between', async () => {
    directory.held = 30;
    let interfered = false;
    directory.meanwhile = () => {
      if (!interfered) directory.starting.add('of-another');
      interfered = true;
    };
    expect(await round()).toBe(2);
    expect(directory.starting.size).toBe(3);
  });

  test('are not made again for ever', async () => {
    directory.held = 30;
    let flicker = 0;
    directory.meanwhile = () => {
      directory.instances = Array<number>(++flicker % 2).fill(0);
    };
    await expect(round()).rejects.toThrow('changed 50 times');
  });
});

describe('a command that fails', () => {
  test('ends its start, so that the next round begins it anew, and fails the round after the others have ended', async () => {
    directory.held = 30;
    let slowHasEnded = false;
    const run = async (order: StartOrder): Promise<void> => {
      if (order === orders[0]) throw new Error('no such image');
      await delay(50);
      slowHasEnded = true;
    };
    await expect(round({ run })).rejects.toThrow(/^no such image$/);
    expect(slowHasEnded).toBe(true);
    expect(directory.starting.size).toBe(2);
    expect(lastRemembered()).toEqual(NOTHING);

    expect(await round()).toBe(1);
    expect(directory.starting.size).toBe(3);
  });

  test('is not followed by another one in the same round', async () => {
    directory.held = 30;
    const run = async (order: StartOrder): Promise<void> => {
      if (order === orders[0]) throw new Error('no such image');
      await delay(300);
    };
    await expect(round({ run })).rejects.toThrow();
    expect(orders).toHaveLength(3);
  });

  test('is counted with the others in what the round says', async () => {
    directory.held = 30;
    await expect(round({ run: () => Promise.reject(new Error('no such image')) })).rejects.toThrow('no such image (and 2 more)');
  });

  test('leaves its start to the next round when the directory does not answer', async () => {
    directory.held = 5;
    const run = async (): Promise<void> => {
      directory.unavailable = new Error('down');
      throw new Error('no such image');
    };
    await expect(round({ run })).rejects.toThrow('no such image');
    expect(lastRemembered()).toEqual({ startIds: directory.entered, wantedIds: [] });

    directory.unavailable = null;
    expect(await round({ unfinished: lastRemembered() ?? NOTHING })).toBe(1);
    expect(directory.starting.size).toBe(1);
  });
});

describe('without the directory', () => {
  test('nothing is decided', async () => {
    directory.unavailable = new Error('down');
    await expect(round()).rejects.toThrow('down');
    expect(orders).toEqual([]);
  });

  test('running commands are waited for', async () => {
    directory.held = 5;
    let ended = false;
    const run = async (): Promise<void> => {
      directory.unavailable = new Error('down');
      await delay(400);
      ended = true;
    };
    await expect(round({ run })).rejects.toThrow('down');
    expect(ended).toBe(true);
  });
});

describe('instances that somebody asks for', () => {
  test('are started beyond what clients need, once', async () => {
    directory.instances = [0];
    directory.wanted = 2;
    expect(await round({ run: () => delay(300).then(() => {}) })).toBe(2);
    expect(orders).toHaveLength(2);
    expect(orders[0]?.desired).toBe(3);
  });

  test('are not started beyond one more than the maximum; the rest is looked at later', async () => {
    directory.instances = [0, 0];
    directory.wanted = 2;
    const later = await runRoundOf({ maxInstances: 2 });
    expect(orders).toHaveLength(1);
    expect(directory.wanted).toBe(1);
    expect(later.laterMs).toBeGreaterThan(0);
  });

  test('are wanted again where their command failed, and only those', async () => {
    directory.instances = [0];
    directory.wanted = 2;
    const run = async (order: StartOrder): Promise<void> => {
      if (order === orders[0]) throw new Error('no such image');
    };
    await expect(round({ run })).rejects.toThrow();
    expect(lastRemembered()).toEqual(NOTHING);
    expect(directory.wanted).toBe(1);
  });
});

describe('a pace', () => {
  test('begins one at a time, and says when the next one may be', async () => {
    directory.held = 35;
    const settings = { startInterval: '30s' };
    const { started, laterMs } = await runRoundOf(settings);
    expect(started).toBe(1);
    expect(laterMs).toBeGreaterThan(29_000);
    expect(orders[0]).toMatchObject({ desired: 1, count: 1 });
    expect((await runRoundOf(settings)).started).toBe(0);
  });

  test('begins so many in a minute', async () => {
    directory.held = 100;
    const { started, laterMs } = await runRoundOf({ maxStartsPerMinute: 3 });
    expect(started).toBe(3);
    expect(laterMs).toBeGreaterThan(58_000);
  });
});

describe('starts that keep failing', () => {
  test('are not begun during the pause, and one by one after it, with nobody held', async () => {
    directory.failures = ['bad', 'bad', 'bad'];
    directory.pauseMs = 5_000;
    directory.held = 35;
    expect(await runRoundOf({})).toMatchObject({ started: 0, laterMs: 5_000 });
    directory.held = 0;
    expect(await runRoundOf({})).toMatchObject({ started: 0, laterMs: 5_000 });
    directory.pauseMs = 0;
    expect((await runRoundOf({})).started).toBe(1);
  });
});

describe('a round whose process dies', () => {
  test('leaves behind which commands nobody saw end', async () => {
    directory.held = 15;
    const ends: (() => void)[] = [];
    const done = round({ run: () => new Promise<void>((resolve) => ends.push(resolve)) });
    await eventually('both run', () => ends.length === 2);
    expect(lastRemembered()?.startIds).toEqual(orders.map(({ startId }) => startId));
    ends[0]?.();
    await eventually('one has ended', () => lastRemembered()?.startIds.length === 1);
    expect(lastRemembered()?.startIds).toEqual([orders[1]?.startId]);
    ends[1]?.();
    await done;
  });

  test('is finished by the next one under the same names', async () => {
    directory.held = 15;
    for (const id of ['seen', 'unseen']) directory.starting.add(id);
    expect(await round({ unfinished: { startIds: ['unseen'] } })).toBe(1);
    expect(orders.map(({ startId }) => startId)).toEqual(['unseen']);
    expect([...directory.starting].sort()).toEqual(['seen', 'unseen']);
  });

  test('is finished under other names where a start has linked or was given up meanwhile', async () => {
    directory.held = 25;
    directory.starting.add('unseen');
    expect(await round({ unfinished: { startIds: ['gone', 'unseen', 'gone-too'] } })).toBe(3);
    const names = orders.map(({ startId }) => startId);
    expect(names).toContain('unseen');
    expect(names.filter((name) => name.startsWith('gone'))).toEqual([]);
  });

  test('starts nothing again that nobody needs any more', async () => {
    directory.starting.add('unseen');
    expect(await round({ unfinished: { startIds: ['unseen'] } })).toBe(0);
    expect(directory.starting.size).toBe(0);
  });

  test('has its wanted instances started all the same', async () => {
    directory.instances = [0];
    directory.wanted = 1;
    let left = NOTHING;
    const dies = round({
      run: async () => {
        left = lastRemembered() ?? NOTHING;
      },
    });
    await dies;
    expect(left).toEqual({ startIds: [orders[0]?.startId], wantedIds: [orders[0]?.startId] });

    expect(await round({ unfinished: left })).toBe(1);
    expect(orders[1]?.startId).toBe(orders[0]?.startId);
  });
});
