import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { AgentAnswer, AgentStart } from '../../../src/link/agent-words.ts';
import { Agent, type AgentInstance, type InstanceOrder, retryMs } from '../../../src/linker/agent.ts';
import type { AgentHomeEvents } from '../../../src/linker/agent-home.ts';
import { createLog } from '../../../src/log.ts';
import { eventually } from '../../support/eventually.ts';

const ROUTE = 'app.example.com';

class FakeInstance implements AgentInstance {
  readonly instance: string;
  readonly order: InstanceOrder;
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<number>();
  readonly ready = this.#ready.promise;
  isLeaving = false;
  drains = 0;

  constructor(order: InstanceOrder) {
    this.order = order;
    this.instance = order.startId ?? 'own';
    this.ready.catch(() => {});
  }

  run(): Promise<number> {
    return this.#over.promise;
  }

  drain(): void {
    this.drains++;
    this.isLeaving = true;
  }

  becomesReady(): void {
    this.#ready.resolve();
  }

  ends(code = 0): void {
    this.#ready.reject(new Error(`it has ended with ${code}`));
    this.#over.resolve(code);
  }
}

let instances: FakeInstance[];
let answers: string[];
let node: AgentHomeEvents;
let changes: number;
let closed: string[];
beforeEach(() => {
  instances = [];
  answers = [];
  changes = 0;
  closed = [];
});

function agent(least: number, most: number, begin?: (order: InstanceOrder) => Promise<AgentInstance>): Agent {
  return new Agent({
    route: ROUTE,
    least,
    most,
    begin:
      begin ??
      (async (order) => {
        const instance = new FakeInstance(order);
        instances.push(instance);
        return instance;
      }),
    home: (events) => {
      node = events;
      return { start: () => {}, changed: () => void changes++, askStart: () => true, close: (reason) => void closed.push(reason) };
    },
    log: createLog('test', 'silent'),
  });
}

function give(startId: string, route = ROUTE): void {
  const start: AgentStart = { startId, route };
  node.start(start, (how: AgentAnswer['how'], reason = '') => void answers.push([startId, how, reason].filter(Boolean).join(' ')));
}

describe('an agent', () => {
  test('takes starts while it has room, and refuses one more', async () => {
    const one = agent(0, 2);
    void one.run();
    expect(one.report).toEqual({ room: 2, running: 0, starting: 0, least: 0, most: 2 });
    for (const startId of ['s1', 's2', 's3']) give(startId);
    expect(answers).toEqual(['s1 taken', 's2 taken', 's3 refused the agent has no room']);
    expect(one.report).toMatchObject({ room: 0, running: 2, starting: 2 });
    await turn();
    expect(instances.map(({ order }) => order.startId)).toEqual(['s1', 's2']);
    instances[0]?.becomesReady();
    instances[0]?.ends();
    await eventually('there is room again', () => one.report.room === 1);
    expect(answers).toHaveLength(3);
    expect(changes).toBeGreaterThanOrEqual(3);
  });

  test('takes the same start once, however often it is said', async () => {
    void agent(0, 4).run();
    give('s1');
    give('s1');
    await turn();
    expect([answers, instances.length]).toEqual([['s1 taken', 's1 taken'], 1]);
  });

  test('starts keys of its route, and nothing of another one', async () => {
    void agent(0, 4).run();
    give('s1', `${ROUTE}~alice`);
    give('s2', 'other.example.com');
    await turn();
    expect(answers).toEqual(['s1 taken', 's2 refused the agent is for another route']);
    expect(instances.map(({ order }) => order.route)).toEqual([`${ROUTE}~alice`]);
  });

  test('says that a start has failed: when the instance ends before it is ready, and when it can not be begun', async () => {
    const one = agent(0, 1);
    void one.run();
    give('s1');
    await turn();
    instances[0]?.ends(3);
    await eventually('it is over', () => one.report.running === 0);
    expect(answers).toEqual(['s1 taken', 's1 failed it has ended with 3']);
    const unable = agent(0, 1, async () => {
      throw new Error('no control socket');
    });
    void unable.run();
    give('s2');
    await eventually('it is over', () => unable.report.running === 0);
    expect(answers.slice(2)).toEqual(['s2 taken', 's2 failed no control socket']);
  });

  test('that leaves takes no start, gives back those that are not ready, and is over with the last instance', async () => {
    const one = agent(0, 4);
    const over = one.run();
    give('s1');
    give('s2');
    await turn();
    const [first, second] = instances as [FakeInstance, FakeInstance];
    first.becomesReady();
    await turn();
    one.drain();
    expect(one.report).toMatchObject({ room: 0, running: 2, starting: 1 });
    give('s3');
    expect([first.drains, second.drains]).toEqual([1, 1]);
    one.drain();
    expect([first.drains, second.drains]).toEqual([2, 2]);
    second.ends();
    await eventually('one is left', () => one.report.running === 1);
    expect(closed).toEqual([]);
    first.ends();
    await over;
    expect(answers).toEqual(['s1 taken', 's2 taken', 's3 refused the agent is leaving', 's2 refused the agent is leaving']);
    expect(closed).toEqual(['the agent leaves']);
  });
});

test('an agent says why an instance ended before it was ready, until another one is', async () => {
  const one = agent(0, 2);
  void one.run();
  give('s1');
  await turn();
  instances[0]?.ends(3);
  await eventually('it is over', () => one.report.running === 0);
  expect(one.report.failure).toEqual({ reason: 'it has ended with 3', ageMs: expect.any(Number) });
  give('s2');
  await turn();
  expect(one.report).toMatchObject({ starting: 1, failure: { reason: 'it has ended with 3' } });
  instances[1]?.becomesReady();
  await eventually('it serves', () => one.report.starting === 0);
  expect(one.report.failure).toBeUndefined();
});

describe('the least number of instances', () => {
  test('is begun without a start, and those that are needed for it stay', async () => {
    const one = agent(2, 3);
    void one.run();
    await eventually('both are begun', () => instances.length === 2);
    expect(instances.map(({ order }) => [order.startId, order.stays()])).toEqual([
      [undefined, true],
      [undefined, true],
    ]);
    give('s1');
    await turn();
    expect(instances.map(({ order }) => order.stays())).toEqual([false, false, false]);
    (instances[0] as FakeInstance).isLeaving = true;
    expect(instances.slice(1).map(({ order }) => order.stays())).toEqual([true, true]);
    one.drain();
    expect(instances[1]?.order.stays()).toBe(false);
  });

  test('is made up again when one of them has ended, after a pause', async () => {
    const one = agent(1, 1);
    void one.run();
    await eventually('it is begun', () => instances.length === 1);
    instances[0]?.ends(1);
    await eventually('it is over', () => one.report.running === 0);
    expect(instances).toHaveLength(1);
    await eventually('the next one is begun', () => instances.length === 2);
    one.drain();
  });

  test.each([
    [0, 0],
    [1, 1_000],
    [2, 2_000],
    [5, 16_000],
    [6, 30_000],
    [1_000_000, 30_000],
  ])('after %i failures it waits for %i ms', (failures, ms) => {
    expect(retryMs(failures)).toBe(ms);
  });
});
