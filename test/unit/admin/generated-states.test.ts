/** The API can say every state of a cluster. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AdminServer } from '../../../src/admin/server.ts';
import { createLog } from '../../../src/log.ts';
import { FakeSource } from '../../support/harness/admin-source.ts';
import { aNode, anInstance, aRoute, aState } from '../../support/harness/pictures.ts';

const source = new FakeSource();
const server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, log: createLog('test', 'silent'), source });
let base = '';

beforeAll(async () => {
  base = `http://${await server.start()}`;
});
afterAll(() => server.stop());

const count = fc.nat(1_000_000);
/** Clocks of one process say fractions of a millisecond. */
const ms = fc.double({ min: 0, max: 1e12, noNaN: true });
const name = fc.stringMatching(/^[a-z]{1,10}\.test$/);
const trouble = fc.option(fc.record({ failures: count, reason: fc.string(), ageMs: ms, retryInMs: ms }));
const start = fc.record({ id: fc.stringMatching(/^[a-z0-9]{1,8}$/), ageMs: ms, leftMs: ms });
const instance = fc
  .record({ id: fc.stringMatching(/^[a-z0-9]{1,8}$/), seq: count, concurrency: count, active: count })
  .map((changes) => anInstance(changes));
const route = fc
  .record({
    name,
    held: count,
    oldestHeldMs: ms,
    trouble,
    starts: fc.array(start, { maxLength: 3 }),
    instances: fc.array(instance, { maxLength: 3 }),
  })
  .map((changes) => aRoute(changes));
const node = fc.record({ held: count, active: count, heartbeatAgeMs: ms }).map((changes) => aNode(changes));
const missing = fc.record({ id: name, address: fc.constant(''), since: count, ageMs: ms, held: count, active: count, links: count });

test('every state is answered, as it is', async () => {
  const states = fc.record({
    routes: fc.array(route, { maxLength: 4 }),
    nodes: fc.array(node, { maxLength: 3 }),
    missing: fc.array(missing, { maxLength: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(states, async (changes) => {
      source.picture = aState(changes);
      const response = await fetch(`${base}/api/v1/state`);
      const body = (await response.json()) as { routes: { trouble: unknown; starts: unknown }[] };
      expect([response.status, body.routes?.map((one) => [one.trouble, one.starts])]).toEqual([
        200,
        changes.routes.map((one) => [one.trouble, one.starts]),
      ]);
    }),
    { numRuns: 200 },
  );
});
