import { describe, expect, test } from '@jest/globals';
import type { ClusterState } from '../../../src/admin/admin-source.ts';
import type { Trouble, TroubleContext } from '../../../src/admin/trouble.ts';
import { findTroubles } from '../../../src/admin/troubles.ts';
import type { RouteSnapshot } from '../../../src/cluster/cluster.ts';
import { aJob, aNode, anInstance, aRoute, aRun, aState, NOW } from '../../support/harness/pictures.ts';

const CALM: TroubleContext = {
  jobs: { jobs: [], scalers: 1 },
  startedBy: 'scalers',
  redisRefusal: null,
  internalErrors: {},
  events: { events: [], now: NOW },
  now: NOW,
};

function find(state: Partial<ClusterState>, context: Partial<TroubleContext> = {}): readonly Trouble[] {
  return findTroubles(aState(state), { ...CALM, ...context });
}

const ofRoute = (changes: Partial<RouteSnapshot>, context?: Partial<TroubleContext>) => find({ routes: [aRoute(changes)] }, context);
const texts = (troubles: readonly Trouble[]) => troubles.map(({ severity, text }) => `${severity}: ${text}`);

test('a calm cluster has no troubles', () => {
  const busy = aRoute({ active: 10, slots: 10, instances: [anInstance({ active: 10 })] });
  expect(find({ routes: [busy, aRoute({ name: 'idle.example.com' })] })).toEqual([]);
});

describe('starts that fail', () => {
  const trouble = { failures: 3, reason: 'startup command "docker" exited with 125', ageMs: 900, retryInMs: 8_000 };
  const run = aRun({ exitCode: 125, failure: 'startup command "docker" exited with 125', output: 'pulling\nimage not found\n' });
  const jobs = { jobs: [aJob({ state: 'delayed', attempts: 3, runs: [run, run, run], nextTryAt: NOW + 4_000 })], scalers: 1 };

  test('are said first, in words, with what they cost', () => {
    const [first] = ofRoute({ held: 212, oldestHeldMs: 9_000, trouble }, { jobs });
    expect(first).toEqual({
      severity: 'error',
      code: 'starts_fail',
      route: 'example.com',
      node: null,
      text: 'example.com: 212 clients held, 3 starts failed: exit 125, image not found',
      advice: expect.stringMatching(/^Last tried 0\.9 s ago, again in 8 s\. /),
    });
  });

  test('are a warning while other instances serve', () => {
    const serving = { slots: 10, instances: [anInstance()] };
    expect(texts(ofRoute({ trouble, ...serving }, { jobs }))).toEqual(['warning: example.com: 3 starts failed: exit 125, image not found']);
  });

  test('are no less of an outage when clients are sent away at once instead of being held', () => {
    expect(texts(ofRoute({ trouble }, { jobs }))).toEqual([
      'error: example.com: every client gets a 503, 3 starts failed: exit 125, image not found',
    ]);
  });

  test('are known without the jobs, by the reason that the directory has', () => {
    expect(texts(ofRoute({ held: 1, trouble }, { jobs: null }))).toEqual([
      'error: example.com: 1 client held, 3 starts failed: startup command "docker" exited with 125',
    ]);
  });

  test('are known from the jobs alone', () => {
    expect(texts(ofRoute({ held: 2 }, { jobs }))).toEqual([
      'error: example.com: 2 clients held, 3 starts failed: exit 125, image not found',
    ]);
  });

  test.each([
    ['one succeeded since', [aRun({ endedAt: NOW - 10 })], []],
    ['an instance came since', [], [anInstance({ seq: NOW })]],
  ])('are over when %s', (_, runs, instances) => {
    const over = { jobs: [aJob({ state: 'failed', runs: [run, ...runs] })], scalers: 1 };
    expect(ofRoute({ instances }, { jobs: over })).toEqual([]);
  });

  test('are history after ten minutes in which nobody tried again', () => {
    const given = { jobs: [aJob({ state: 'failed', runs: [run] })], scalers: 1 };
    expect(ofRoute({}, { jobs: given, now: NOW + 9 * 60_000 })).toHaveLength(1);
    expect(ofRoute({}, { jobs: given, now: NOW + 11 * 60_000 })).toEqual([]);
  });

  test('by a signal or a timeout are said as such', () => {
    const stopped = aRun({ exitCode: null, failure: 'startup command "docker" did not end within 60000 ms and was stopped' });
    expect(texts(ofRoute({}, { jobs: { jobs: [aJob({ runs: [stopped] })], scalers: 1 } }))).toEqual([
      'warning: example.com: 1 start failed: startup command did not end within 60000 ms and was stopped',
    ]);
  });
});

describe('startup jobs that wait', () => {
  const rate = { perSecond: 50, fixed: false, slowed: false, waiting: 23, oldestMs: 12_000 };
  const found = (changes: Partial<typeof rate>, scalers = 1) =>
    findTroubles(aState(), { ...CALM, jobs: { jobs: [], scalers, rate: { ...rate, ...changes } } }).filter(
      ({ code }) => code === 'starts_wait',
    );

  test('for long are a trouble, and the advice says why', () => {
    expect(found({})[0]?.text).toBe('23 startup jobs wait for a scaler, the oldest for 12 s, at 50 starts a second');
    expect(found({})[0]?.advice).toContain('--parallel');
    expect(found({ perSecond: 2.5, slowed: true, waiting: 1 })[0]?.text).toBe(
      '1 startup job waits for a scaler, the oldest for 12 s, at 2.5 starts a second',
    );
    expect(found({ slowed: true })[0]?.advice).toContain('have failed');
    expect(found({ perSecond: 10, fixed: true })[0]?.text).toContain('at 10 jobs a second (--rate)');
    expect(found({ fixed: true })[0]?.advice).toContain('--rate');
  });

  test('are none for a moment, without jobs, and where there is no scaler', () => {
    expect([...found({ oldestMs: 4_999 }), ...found({ waiting: 0 }), ...found({}, 0)]).toEqual([]);
  });
});

describe('clients that wait', () => {
  const full = [anInstance({ active: 10 })];
  test.each<[string, Partial<RouteSnapshot>, Partial<TroubleContext>, string[]]>([
    [
      'for instances that are starting',
      { held: 3, oldestHeldMs: 900, starting: 2 },
      {},
      ['note: example.com: 3 clients held for up to 0.9 s, 2 instances starting'],
    ],
    ['for a moment', { held: 3, oldestHeldMs: 900, instances: full }, {}, []],
    [
      'for long, and nothing comes',
      { held: 1, oldestHeldMs: 4_000, instances: full },
      {},
      ['warning: example.com: 1 client held for 4 s, and nothing is starting'],
    ],
    [
      'at the maximum',
      { held: 12_000, oldestHeldMs: 4_000, instances: full, settings: { maxInstances: 1, maxHeld: 20_000 } },
      {},
      ['warning: example.com: 12,000 clients held for up to 4 s: its only instance is busy or starting'],
    ],
    [
      'where none may start',
      { held: 1, oldestHeldMs: 10, settings: { maxInstances: 0 } },
      {},
      ['warning: example.com: 1 client held, and maxInstances is 0'],
    ],
    [
      'where no agent has room',
      { held: 4, oldestHeldMs: 4_000, instances: full, agents: { count: 2, room: 0, running: 6, starting: 0, shown: [] } },
      {},
      ['warning: example.com: 4 clients held for up to 4 s, and all 2 agents have no room for another instance (6 there)'],
    ],
    [
      'for a moment, where the only agent has no room',
      { held: 1, oldestHeldMs: 400, instances: full, agents: { count: 1, room: 0, running: 1, starting: 0, shown: [] } },
      {},
      ['note: example.com: 1 client held for 0.4 s, and its agent has no room for another instance (1 there)'],
    ],
    [
      'at a node on its own that has an agent',
      { held: 1, oldestHeldMs: 400, agents: { count: 1, room: 1, running: 0, starting: 0, shown: [] } },
      { jobs: null, startedBy: 'nobody' },
      [],
    ],
    [
      'without a scaler',
      { held: 5, oldestHeldMs: 4_000 },
      { jobs: { jobs: [], scalers: 0 } },
      ['error: example.com: 5 clients held for up to 4 s, and there is no scaler to start an instance'],
    ],
    [
      'at a node on its own',
      { held: 5, oldestHeldMs: 4_000 },
      { jobs: null, startedBy: 'nobody' },
      ['error: example.com: 5 clients held for up to 4 s, and no instance is linked'],
    ],
    [
      'while slots are free elsewhere',
      { held: 5, oldestHeldMs: 4_000, free: 2, slots: 10, instances: full },
      {},
      ['error: example.com: 5 clients held for up to 4 s although 2 slots are free'],
    ],
    [
      'for an instance that does not link',
      { held: 5, oldestHeldMs: 30_000, starting: 1, starts: [{ id: 's1', ageMs: 29_000, leftMs: 31_000 }] },
      {},
      ['warning: example.com: 5 clients held for up to 30 s, 1 start not linked after 29 s'],
    ],
    [
      'and leave, since more come than are served',
      { held: 40, oldestHeldMs: 400, overload: { waitMs: 500 }, instances: full },
      {},
      [
        'warning: example.com: 40 clients held for up to 0.4 s; more clients come than are served, and they leave: nobody waits for longer than 0.5 s, the others get a 503',
      ],
    ],
    [
      'in a queue that is full',
      { held: 7, oldestHeldMs: 10, settings: { maxHeld: 7 }, instances: full },
      {},
      ['error: example.com: 7 clients held, and no more are accepted: a new client gets a 503'],
    ],
  ])('%s', (_, changes, context, expected) => {
    expect(texts(ofRoute(changes, context))).toEqual(expected);
  });
});

test('fewer instances than the minimum are said, until they are begun', () => {
  const settings = { minInstances: 2 };
  expect(texts(ofRoute({ settings }))).toEqual(['warning: example.com: 0 of at least 2 instances']);
  expect(ofRoute({ settings, instances: [anInstance()], starting: 1, starts: [{ id: 's1', ageMs: 10, leftMs: 10 }] })).toEqual([]);
});

test('settings that nobody can follow are said', () => {
  expect(texts(ofRoute({ settings: { maxHeld: 'many' } }))).toEqual([
    expect.stringMatching(/^error: example\.com: its settings are invalid and not used: maxHeld "many": expected a whole number/),
  ]);
});

describe('nodes', () => {
  test('that are silent, leave, or differ in version', () => {
    const nodes = [aNode(), aNode({ id: 'b', heartbeatAgeMs: 2_400 }), aNode({ id: 'c', draining: true, version: '1.3.0' })];
    expect(texts(find({ nodes }))).toEqual([
      'warning: node b: last heartbeat 2.4 s ago',
      'note: node c is draining',
      'note: nodes of 2 versions: 1.2.3, 1.3.0',
    ]);
  });

  test('a lost Redis is the first thing to know', () => {
    const [first] = find({ redis: { connected: false }, routes: [aRoute({ held: 5, oldestHeldMs: 9_000 })] });
    expect(first).toMatchObject({
      severity: 'error',
      code: 'redis_away',
      text: 'Redis does not answer',
      advice: expect.stringContaining('what a knows itself'),
    });
  });

  test('a Redis that refuses to write is an error', () => {
    expect(texts(find({}, { redisRefusal: "OOM command not allowed when used memory > 'maxmemory'." }))).toEqual([
      "error: Redis answers and refuses to write: OOM command not allowed when used memory > 'maxmemory'.",
    ]);
  });

  test('without Redis there is none to be lost, and no scaler to be missed', () => {
    expect(find({ redis: { connected: null } }, { jobs: null, startedBy: 'nobody' })).toEqual([]);
  });
});

test('that no scaler is there is worth a note while nobody waits', () => {
  expect(texts(find({}, { jobs: { jobs: [], scalers: 0 } }))).toEqual(['note: there is no scaler']);
});

test('errors come before warnings, and the route with most clients first', () => {
  const trouble = { failures: 1, reason: 'x', ageMs: 1, retryInMs: 0 };
  const routes = [
    aRoute({ name: 'quiet', trouble }),
    aRoute({ name: 'few', held: 1, trouble }),
    aRoute({ name: 'many', held: 100, trouble }),
  ];
  expect(find({ routes }).map(({ route }) => route)).toEqual(['many', 'few', 'quiet']);
});

test('a route that answers with 5xx is red while it does, over all nodes', () => {
  const failing = (all: number, failed: number) => [{ route: 'example.com', all, failed }];
  const said = (...nodes: (readonly { route: string; all: number; failed: number }[])[]) =>
    texts(find({ nodes: nodes.map((one, i) => aNode({ id: `n${i}`, failing: one })), routes: [aRoute()] }));
  expect(said(failing(20, 10), failing(10, 8))).toEqual(['error: example.com: 18 of 30 answers in the last half minute were 5xx']);
  expect(said(failing(100, 6))).toEqual(['warning: example.com: 6 of 100 answers in the last half minute were 5xx']);
  expect(said(failing(1_000, 6))).toEqual([]);
  expect(said(failing(4, 4))).toEqual([]);
});
