/** The difference brings the page from any state to any other one. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type AdminState, adminState } from '../../../src/admin/admin-state.ts';
import { type StateDifference, stateDifference } from '../../../src/admin/state-difference.ts';
import { WaitWindow } from '../../../src/admin/waits.ts';
import { aNode, anInstance, aRoute, aState, NOW } from '../../support/harness/pictures.ts';

// A script of the page.
const page = new URL('../../../src/admin/dashboard/differences.js', import.meta.url).href;
const { applied } = (await import(page)) as { applied: (state: AdminState, difference: StateDifference) => AdminState };

const few = fc.nat(3);
const start = fc.record({ id: fc.constantFrom('s1', 's2'), ageMs: few, leftMs: few });
const instance = fc
  .record({ id: fc.constantFrom('i1', 'i2', 'i3'), active: few, version: fc.option(fc.constantFrom('1', '2'), { nil: undefined }) })
  .map(({ version, ...changes }) =>
    anInstance({ ...changes, seq: Number(changes.id.slice(1)), ...(version === undefined ? {} : { version }) }),
  );
const trouble = fc.option(fc.record({ failures: few, reason: fc.constant('exit 1'), ageMs: few, retryInMs: few }));
const route = fc
  .record({
    name: fc.constantFrom('a.test', 'b.test', 'c.test', 'd.test'),
    held: few,
    active: few,
    trouble,
    settings: fc.constantFrom(null, { maxHeld: 1 }, { maxHeld: 2 }),
    starts: fc.uniqueArray(start, { selector: ({ id }) => id }),
    instances: fc.uniqueArray(instance, { selector: ({ id }) => id }),
  })
  .map((changes) => aRoute({ ...changes, instances: changes.instances.toSorted((a, b) => b.seq - a.seq) }));
const node = fc.record({ id: fc.constantFrom('a', 'b', 'c'), held: few }).map((changes) => aNode(changes));
const sorted = <T>(all: T[], read: (one: T) => string): T[] => all.toSorted((a, b) => (read(a) < read(b) ? -1 : 1));
const state: fc.Arbitrary<AdminState> = fc
  .record({
    routes: fc.uniqueArray(route, { selector: ({ name }) => name }),
    nodes: fc.uniqueArray(node, { selector: ({ id }) => id }),
    version: fc.constantFrom('1', '2'),
    now: few,
  })
  .map(({ routes, nodes, version, now }) => {
    const seen = aState({ routes: sorted(routes, ({ name }) => name), nodes: sorted(nodes, ({ id }) => id) });
    const process = { version, startedBy: 'scalers', routeDefaults: {}, draining: false, redisRefusal: null, internalErrors: {} } as const;
    return adminState(seen, null, process, new WaitWindow().add(nodes, 0), { events: [], untold: [], now: NOW }, NOW + now);
  });

/** As it comes over the wire. */
const sent = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

test('it brings every state to every other one', async () => {
  await fc.assert(
    fc.asyncProperty(state, state, async (before, now) => {
      expect(applied(sent(before), sent(await stateDifference(1, before, now)))).toEqual(sent(now));
    }),
    { numRuns: 1_000 },
  );
});

test('of a large cluster in which little happens it is small, and what did not change stays the same object', async () => {
  const routes = Array.from({ length: 5_000 }, (_, i) =>
    aRoute({ name: `r${10_000 + i}.test`, instances: [anInstance(), anInstance({ id: 'i2' })] }),
  );
  const process = {
    version: '1',
    startedBy: 'scalers',
    routeDefaults: {},
    draining: false,
    redisRefusal: null,
    internalErrors: {},
  } as const;
  const events = { events: [], untold: [], now: NOW };
  const at = (all: typeof routes): AdminState =>
    adminState(aState({ routes: all }), null, process, new WaitWindow().add([], 0), events, NOW);
  const before = at(routes);
  const now = at(sent(routes).map((one, i) => (i === 7 ? aRoute({ ...one, active: 3 }) : one)));
  const difference = sent(await stateDifference(1, before, now));
  expect(JSON.stringify(difference).length).toBeLessThan(200);
  const after = applied(before, difference);
  expect(after).toEqual(now);
  expect(after.routes.filter((one, i) => one !== before.routes[i])).toHaveLength(1);
});
