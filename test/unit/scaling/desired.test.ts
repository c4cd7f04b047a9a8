import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Decision, type Demand, decide } from '../../../src/scaling/desired.ts';

const QUIET: Demand = { held: 0, slots: 0, free: 0, ready: 0, starting: 0, concurrency: 10, min: 0, max: 10, force: 0 };

describe('how many instances to start', () => {
  const cases: [string, Partial<Demand>, Decision][] = [
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
    ['one more where somebody asks for it', { ready: 1, slots: 10, free: 10, force: 1 }, { desired: 2, toStart: 1, reason: 'forced' }],
    ['one asked for is among those needed anyway', { held: 30, force: 1 }, { desired: 3, toStart: 3, reason: 'demand' }],
    [
      'what is asked for beyond the maximum is not started',
      { ready: 9, slots: 90, free: 90, force: 3 },
      { desired: 10, toStart: 1, reason: 'maximum' },
    ],
  ];
  test.each(cases)('%s', (_name, demand, expected) => {
    expect(decide({ ...QUIET, ...demand })).toEqual(expected);
  });
});

describe('whatever the numbers are', () => {
  const count = (max: number) => fc.nat({ max });
  const demand: fc.Arbitrary<Demand> = fc.record({
    held: count(20_000),
    slots: count(5_000),
    free: count(5_000),
    ready: count(50),
    starting: count(50),
    concurrency: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 500 })),
    min: count(30),
    max: count(100),
    force: count(5),
  });
  const begun = (d: Demand): number => d.ready + d.starting;

  test('starting never leads beyond the maximum, and never counts backwards', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart, desired } = decide(d);
        expect(Number.isSafeInteger(toStart) && toStart >= 0).toBe(true);
        expect(desired).toBeLessThanOrEqual(d.max);
        if (toStart > 0) expect(begun(d) + toStart).toBe(desired);
      }),
    );
  });

  test('once the started ones count as starting, the same demand starts no more', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart } = decide(d);
        expect(decide({ ...d, starting: d.starting + toStart, force: 0 }).toStart).toBe(0);
      }),
    );
  });

  test('what is there in the end is enough for everybody, unless the maximum or the unknown forbids it', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart, reason } = decide(d);
        if (d.concurrency === null || reason === 'maximum') return;
        const busy = d.held + Math.max(0, d.slots - d.free);
        expect((begun(d) + toStart) * d.concurrency).toBeGreaterThanOrEqual(busy);
      }),
    );
  });

  test('one instance less than what demand alone started would not have been enough', () => {
    fc.assert(
      fc.property(demand, (d) => {
        const { toStart, reason, desired } = decide(d);
        if (d.concurrency === null || reason !== 'demand' || toStart === 0) return;
        const busy = d.held + Math.max(0, d.slots - d.free);
        expect((desired - 1) * d.concurrency).toBeLessThan(busy);
      }),
    );
  });

  test('one held client more never starts less', () => {
    fc.assert(fc.property(demand, (d) => expect(decide({ ...d, held: d.held + 1 }).toStart).toBeGreaterThanOrEqual(decide(d).toStart)));
  });
});
