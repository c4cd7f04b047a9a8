import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLog } from '../../../src/log.ts';
import { LocalScaler, type LocalScalerOptions } from '../../../src/scaling/local.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';

type Order = Parameters<LocalScalerOptions['start']>[0];

let directory: FakeDirectories;
let started: Order[];
let scaler: LocalScaler;
beforeEach(() => {
  directory = new FakeDirectories();
  started = [];
});
afterEach(() => scaler.close());

function localScaler(start: (order: Order) => Promise<void> = async () => {}): void {
  scaler = new LocalScaler({
    directory,
    log: createLog('test', 'silent'),
    start: async (order) => {
      started.push(order);
      await start(order);
    },
  });
}

describe('a scaler in the same process', () => {
  test('starts what clients need, once, however often they ask', async () => {
    directory.of('app').held = 35;
    localScaler();
    for (let n = 0; n < 1_000; n++) scaler.request('app');
    await eventually('all are started', () => started.length === 4);
    scaler.request('app');
    await delay(200);
    expect(started).toHaveLength(4);
    expect(started[0]).toMatchObject({ route: 'app', desired: 4, count: 1, held: 35 });
  });

  test('starts what more clients need while the first instance takes its time', async () => {
    directory.of('app').held = 1;
    localScaler(() => delay(1_000));
    scaler.request('app');
    await eventually('the first is started', () => started.length === 1);
    directory.of('app').held = 25;
    scaler.request('app');
    await eventually('the others are started', () => started.length === 3, 900);
  });

  test('starts one by one also where the route wants one command for all', async () => {
    directory.of('app').held = 35;
    directory.of('app').settings = { startMode: 'total' };
    localScaler();
    scaler.request('app');
    await eventually('all are started', () => started.length === 4);
    expect(started.every(({ count }) => count === 1)).toBe(true);
  });

  test('waits longer and longer after each failure, keeps trying, and lets no other route wait', async () => {
    directory.of('bad').held = 5;
    directory.of('good').held = 5;
    const times: number[] = [];
    localScaler(async ({ route }) => {
      if (route === 'good') return;
      times.push(performance.now());
      throw new Error('it ended at once');
    });
    scaler.request('bad');
    scaler.request('good');
    await eventually('the good one is started', () => started.some(({ route }) => route === 'good'), 500);
    await eventually('the bad one was tried three times', () => {
      scaler.request('bad');
      return times.length === 3;
    });
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeGreaterThan(950);
    expect(third - second).toBeGreaterThan(1_950);
  });

  test('starts what somebody asks for beyond the need, and again if it failed', async () => {
    directory.of('app').instances = [0];
    localScaler(async () => {
      if (started.length === 1) throw new Error('it ended at once');
    });
    scaler.request('app', 2);
    await eventually('two are started', () => directory.of('app').starting.size === 2);
    expect(started).toHaveLength(3);
  });

  test('keeps the minimum without traffic', async () => {
    directory.of('app').settings = { minInstances: 2 };
    localScaler();
    await eventually('they are started', () => started.length === 2);
  });

  test('starts nothing once it is closed', async () => {
    directory.of('app').held = 5;
    directory.of('other').held = 5;
    localScaler(async () => {
      throw new Error('it ended at once');
    });
    scaler.request('app');
    await eventually('it was tried', () => started.length === 1);
    scaler.close();
    scaler.request('other');
    await delay(1_200);
    expect(started).toHaveLength(1);
  });
});
