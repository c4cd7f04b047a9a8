import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Decision, decide, type RouteNeed } from '../../../src/scaling/desired.ts';

const QUIET: RouteNeed = {
  held: 0,
  promised: 0,
  serving: null,
  slots: 0,
  free: 0,
  ready: 0,
  starting: 0,
  paused: 0,
  leaving: 0,
  concurrency: 10,
  min: 0,
  max: 10,
  wanted: 0,
  old: 0,
  startIntervalMs: 0,
  maxStartsPerMinute: null,
  lastBegunMs: null,
  begunInMinute: 0,
  oldestBegunMs: null,
  trouble: null,
};
const paused = (failures: number, retryInMs: number) => ({ failures, retryInMs });

describe('how many instances to start', () => {
  const cases: [string, Partial<RouteNeed>, Omit<Decision, 'laterMs'> & Partial<Decision>][] = [
    ['nothing while nobody is there', {}, { desired: 0, toStart: 0, reason: 'idle' }],
    ['one for the first client', { held: 1 }, { desired: 1, toStart: 1, reason: 'demand' }],
    ['one for as many clients as it has slots', { held: 10 }, { desired: 1, toStart: 1, reason: 'demand' }],
    ['two for one client more', { held: 11 }, { desired: 2, toStart: 2, reason: 'demand' }],
    ['one while nobody knows what an instance takes', { held: 10_000, concurrency: null }, { desired: 1, toStart: 1, reason: 'first' }],
    [
      'none more until the first one has said it',
      { held: 10_000, concurrency: null, starting: 1 },
      { desired: 1, toStart: 0, reason: 'first' },
    ],
    [
      'as many as the limits of those that are ready leave over',
      { held: 20, ready: 2, slots: 30, serving: 30, concurrency: 3 },
      { desired: 4, toStart: 2, reason: 'demand' },
    ],
    [
      'another one where the only one takes nothing now',
      { held: 5, paused: 1, concurrency: 10 },
      { desired: 2, toStart: 1, reason: 'demand' },
    ],
    [
      'no more than the maximum, those that take nothing now included',
      { held: 5, paused: 2, max: 2 },
      { desired: 2, toStart: 0, reason: 'maximum' },
    ],
    ['nothing for an unknown concurrency and nobody', { concurrency: null }, { desired: 0, toStart: 0, reason: 'idle' }],
    ['the minimum while concurrency is unknown', { held: 1, concurrency: null, min: 3 }, { desired: 3, toStart: 3, reason: 'minimum' }],
    [
      'what is missing beside ready and starting ones',
      { held: 35, slots: 10, ready: 1, starting: 2 },
      { desired: 5, toStart: 2, reason: 'demand' },
    ],
    ['nothing where begun ones suffice', { held: 25, starting: 3 }, { desired: 3, toStart: 0, reason: 'demand' }],
    ['nothing where more are ready than needed', { held: 0, slots: 50, free: 49, ready: 5 }, { desired: 1, toStart: 0, reason: 'demand' }],
    ['busy slots count as held clients do', { held: 1, slots: 10, ready: 1 }, { desired: 2, toStart: 1, reason: 'demand' }],
    [
      'who has been promised a slot is counted by that slot',
      { held: 10, promised: 10, slots: 10, ready: 1 },
      { desired: 1, toStart: 0, reason: 'demand' },
    ],
    [
      'and not twice when the promise has lapsed',
      { held: 10, slots: 10, ready: 1, serving: 0 },
      { desired: 1, toStart: 0, reason: 'demand' },
    ],
    // What clients cost beyond one slot is in `wantedExtra` and `heldExtra`; the first leaves those out to which slots are promised.
    [
      'as many as what clients cost needs',
      { held: 3, wantedExtra: 12, heldExtra: 12, slots: 10, ready: 1, free: 10 },
      { desired: 2, toStart: 1, reason: 'demand' },
    ],
    [
      'one for one client that takes all of its slots',
      { held: 1, wantedExtra: 9, heldExtra: 9 },
      { desired: 1, toStart: 1, reason: 'demand' },
    ],
    [
      'none for costs that promised slots stand for',
      { held: 1, promised: 1, heldExtra: 3, slots: 4, ready: 1, concurrency: 4 },
      { desired: 1, toStart: 0, reason: 'demand' },
    ],
    [
      'another one for a client whose slots come together while others use them',
      { held: 1, promised: 1, wantedExtra: 4, heldExtra: 3, slots: 4, ready: 1, serving: 4, concurrency: 4 },
      { desired: 2, toStart: 1, reason: 'demand' },
    ],
    [
      'costs that are served count as what is served',
      { serving: 8, slots: 8, ready: 2, held: 1, concurrency: 4 },
      { desired: 3, toStart: 1, reason: 'demand' },
    ],
    [
      'no more for slots on their way than clients cost',
      { held: 1, wantedExtra: 6, heldExtra: 6, slots: 12, ready: 3, serving: 0, concurrency: 4 },
      { desired: 2, toStart: 0, reason: 'demand' },
    ],
    [
      'costs never lead beyond the maximum',
      { held: 2, wantedExtra: 2_000_000, heldExtra: 2_000_000, max: 3 },
      { desired: 3, toStart: 3, reason: 'maximum' },
    ],
    [
      'what one costs while nobody knows what an instance takes',
      { held: 1, wantedExtra: 99, heldExtra: 99, concurrency: null },
      { desired: 1, toStart: 1, reason: 'first' },
    ],
    ['at most the maximum', { held: 10_000 }, { desired: 10, toStart: 10, reason: 'maximum' }],
    ['the exact maximum is demand', { held: 100 }, { desired: 10, toStart: 10, reason: 'demand' }],
    ['nothing at the maximum', { held: 5_000, slots: 100, ready: 10 }, { desired: 10, toStart: 0, reason: 'maximum' }],
    ['nothing where the maximum is zero', { held: 5, max: 0 }, { desired: 0, toStart: 0, reason: 'maximum' }],
    ['the minimum without traffic', { min: 2 }, { desired: 2, toStart: 2, reason: 'minimum' }],
    [
      'nothing where the minimum is there',
      { min: 2, ready: 1, starting: 1, slots: 10, free: 10 },
      { desired: 2, toStart: 0, reason: 'minimum' },
    ],
    ['the maximum wins over the minimum', { min: 5, max: 3 }, { desired: 3, toStart: 3, reason: 'maximum' }],
    ['nothing for idle slots that outlived their instance', { slots: 0, free: 10 }, { desired: 0, toStart: 0, reason: 'idle' }],
    ['one more where somebody asks for it', { ready: 1, slots: 10, free: 10, wanted: 1 }, { desired: 2, toStart: 1, reason: 'wanted' }],
    ['one asked for is among those needed anyway', { held: 30, wanted: 1 }, { desired: 3, toStart: 3, reason: 'demand' }],
    [
      'what is asked for may be one more than the maximum, so that a deployment works, and the rest waits for room',
      { ready: 9, slots: 90, free: 90, wanted: 3 },
      { desired: 11, toStart: 2, reason: 'maximum', laterMs: 1_000 },
    ],
    [
      'one more is wanted where one is all that may be',
      { ready: 1, slots: 10, max: 1, wanted: 1 },
      { desired: 2, toStart: 1, reason: 'wanted' },
    ],
    [
      'no second one until the first has left',
      { ready: 2, slots: 20, max: 1, wanted: 1 },
      { desired: 2, toStart: 0, reason: 'maximum', laterMs: 1_000 },
    ],
    ['nothing is wanted where the maximum is zero', { max: 0, wanted: 1 }, { desired: 0, toStart: 0, reason: 'maximum', laterMs: 1_000 }],
    [
      'a restart needs as many new ones as clients need',
      { ready: 3, old: 3, slots: 30, free: 15 },
      { desired: 5, toStart: 2, reason: 'restart', laterMs: 1_000 },
    ],
    [
      'a restart without traffic needs one',
      { ready: 3, old: 3, slots: 30, free: 30 },
      { desired: 4, toStart: 1, reason: 'restart', laterMs: 1_000 },
    ],
    ['or the minimum', { ready: 3, old: 3, slots: 30, free: 30, min: 3 }, { desired: 6, toStart: 3, reason: 'restart', laterMs: 1_000 }],
    [
      'a restart at the maximum goes one by one',
      { ready: 3, old: 3, slots: 30, free: 0, max: 3 },
      { desired: 4, toStart: 1, reason: 'maximum', laterMs: 1_000 },
    ],
    [
      'and waits for an old one to leave',
      { ready: 4, old: 3, slots: 40, free: 10, max: 3 },
      { desired: 4, toStart: 0, reason: 'maximum', laterMs: 1_000 },
    ],
    [
      'a restart is over when the new ones are enough',
      { ready: 4, old: 2, slots: 40, free: 22 },
      { desired: 4, toStart: 0, reason: 'restart' },
    ],
    [
      'one at a time where starts have an interval',
      { held: 35, startIntervalMs: 5_000 },
      { desired: 1, toStart: 1, reason: 'paced', laterMs: 5_000 },
    ],
    [
      'none before it has passed',
      { held: 35, startIntervalMs: 5_000, starting: 1, lastBegunMs: 2_000 },
      { desired: 4, toStart: 0, reason: 'paced', laterMs: 3_000 },
    ],
    [
      'the next one after it',
      { held: 15, startIntervalMs: 5_000, starting: 1, lastBegunMs: 5_000 },
      { desired: 2, toStart: 1, reason: 'demand' },
    ],
    [
      'so many in a minute',
      { held: 100, maxStartsPerMinute: 6, begunInMinute: 4, oldestBegunMs: 20_000, starting: 4 },
      { desired: 6, toStart: 2, reason: 'paced', laterMs: 40_000 },
    ],
    [
      'a failed start counts in its minute',
      { held: 100, maxStartsPerMinute: 4, begunInMinute: 4, oldestBegunMs: 20_000 },
      { desired: 10, toStart: 0, reason: 'paced', laterMs: 40_000 },
    ],
    ['as before while starts have failed twice', { held: 35, trouble: paused(2, 0) }, { desired: 4, toStart: 4, reason: 'demand' }],
    ['none in the pause after three', { held: 35, trouble: paused(3, 700) }, { desired: 4, toStart: 0, reason: 'failing', laterMs: 700 }],
    ['one after it', { held: 35, trouble: paused(3, 0) }, { desired: 4, toStart: 1, reason: 'trial' }],
    [
      'and no other while that is on its way',
      { held: 35, starting: 1, trouble: paused(3, 0) },
      { desired: 4, toStart: 0, reason: 'trial', laterMs: 1_000 },
    ],
    ['also for nobody, since everybody was sent away', { trouble: paused(3, 0) }, { desired: 1, toStart: 1, reason: 'trial' }],
    [
      'not for nobody where an instance serves',
      { ready: 1, slots: 10, free: 10, trouble: paused(3, 0) },
      { desired: 0, toStart: 0, reason: 'idle' },
    ],
    [
      'a bad new version is tried again after the pause, too',
      { ready: 1, slots: 10, free: 10, wanted: 1, trouble: paused(4, 2_000) },
      { desired: 2, toStart: 0, reason: 'failing', laterMs: 2_000 },
    ],
  ];
  test.each(cases)('%s', (_name, demand, expected) => {
    expect(decide({ ...QUIET, ...demand })).toEqual({ laterMs: null, ...expected });
  });
});

describe('whatever the numbers are', () => {
  const count = (max: number) => fc.nat({ max });
  const demand: fc.Arbitrary<RouteNeed> = fc.record({
    held: count(20_000),
    promised: fc.constant(0),
    serving: fc.constant(null),
    slots: count(5_000),
    free: count(5_000),
    ready: count(50),
    starting: count(50),
    paused: count(5),
    leaving: count(5),
    concurrency: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 500 })),
    min: count(30),
    max: count(100),
    wanted: count(5),
    old: count(50),
    startIntervalMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60_000 })),
    maxStartsPerMinute: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 30 })),
    lastBegunMs: fc.option(count(59_999)),
    begunInMinute: count(40),
    oldestBegunMs: fc.option(count(59_999)),
    trouble: fc.option(fc.record({ failures: fc.integer({ min: 1, max: 9 }), retryInMs: fc.oneof(fc.constant(0), count(60_000)) })),
  });
  /** What clients need alone decides. */
  const unhindered = demand.map(
    (d): RouteNeed => ({ ...d, wanted: 0, old: 0, startIntervalMs: 0, maxStartsPerMinute: null, trouble: null }),
  );
  const begun = (d: RouteNeed): number => d.ready + d.paused + d.starting;

  test('starting never leads beyond the maximum, but by one for a replacement, and never counts backwards', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart, desired, laterMs } = decide(d);
        expect(Number.isSafeInteger(toStart) && toStart >= 0).toBe(true);
        expect(laterMs === null || laterMs > 0).toBe(true);
        if (toStart > 0) expect(begun(d) + toStart).toBeLessThanOrEqual(d.max + (d.wanted + d.old > 0 ? 1 : 0));
        if (toStart > 0 && d.trouble === null) expect(begun(d) + toStart).toBe(desired);
      }),
    );
  });

  test('no pace is exceeded', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart } = decide(d);
        if (d.trouble !== null) return;
        if (d.startIntervalMs > 0)
          expect(toStart).toBeLessThanOrEqual(d.lastBegunMs === null || d.lastBegunMs >= d.startIntervalMs ? 1 : 0);
        if (d.maxStartsPerMinute !== null && toStart > 0) expect(d.begunInMinute + toStart).toBeLessThanOrEqual(d.maxStartsPerMinute);
      }),
    );
  });

  test('starts that fail again and again are tried one at a time', () => {
    fc.assert(
      fc.property(demand, (d) => {
        if (d.trouble === null || d.trouble.failures < 3) return;
        const { toStart } = decide(d);
        expect(toStart).toBeLessThanOrEqual(d.trouble.retryInMs > 0 || d.starting > 0 ? 0 : 1);
      }),
    );
  });

  test('once the started ones count as starting, the same demand starts no more', () => {
    fc.assert(
      fc.property(unhindered, (d) => {
        const { toStart } = decide(d);
        expect(decide({ ...d, starting: d.starting + toStart }).toStart).toBe(0);
      }),
    );
  });

  /** What an instance takes: those that are ready say it. */
  const each = (d: RouteNeed): number | null => (d.concurrency !== null && d.slots > 0 && d.ready > 0 ? d.slots / d.ready : d.concurrency);
  /** Numbers are divided and multiplied again. */
  const nearly = 1e-6;

  test('what is there in the end is enough for everybody, unless the maximum or the unknown forbids it', () => {
    fc.assert(
      fc.property(unhindered, (d) => {
        const { toStart, reason } = decide(d);
        const takes = each(d);
        if (takes === null || reason === 'maximum') return;
        const busy = d.held + Math.max(0, d.slots - d.free);
        expect((begun(d) - d.paused + toStart) * takes + nearly).toBeGreaterThanOrEqual(busy);
      }),
    );
  });

  test('one instance less than what demand alone started would not have been enough', () => {
    fc.assert(
      fc.property(unhindered, (d) => {
        const { toStart, reason, desired } = decide(d);
        const takes = each(d);
        if (takes === null || reason !== 'demand' || toStart === 0) return;
        const busy = d.held + Math.max(0, d.slots - d.free);
        expect((desired - d.paused - 1) * takes - nearly).toBeLessThan(busy);
      }),
    );
  });

  test('one held client more never starts less', () => {
    fc.assert(fc.property(unhindered, (d) => expect(decide({ ...d, held: d.held + 1 }).toStart).toBeGreaterThanOrEqual(decide(d).toStart)));
  });
});
