/** The same transitions, in any order, have the same answers in memory and in Redis. */
import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { InstanceInfo, RouteSnapshot } from '../../src/cluster/cluster.ts';
import type { Directory, StartPlan } from '../../src/cluster/directory.ts';
import { PROMISE_MS } from '../../src/cluster/limits.ts';
import { MemoryDirectory } from '../../src/cluster/memory/directory.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { startRedis } from '../support/redis.ts';
import { silent } from './world.ts';

const server = await startRedis();
const client = new Redis(server.url);
const connection = new RedisConnection(server.url, silent);
await connection.ready(30_000);
afterAll(async () => {
  client.disconnect();
  await connection.close();
  await server.stop();
});

type Step = (directory: Directory) => Promise<unknown>;

const route = 'app.example.com';
const node = fc.constantFrom('a', 'b', 'c');
const holdId = fc.constantFrom('1', '2', '3', '4', '5');
const idle = fc.integer({ min: 0, max: 3 });
const state = fc.constantFrom<InstanceInfo['state']>('starting', 'ready', 'draining');
const instanceId = fc.constantFrom('i1', 'i2', 'i3');
const startId = fc.constantFrom('s1', 's2', 's3');
const peer = (id: string) => ({ id, address: `${id}.test:1` });

/** Ages so far apart that the time between two steps changes no order; each hold of each node has its own. */
const ageOf = (id: string, hold: string): number => 100_000 * ('abc'.indexOf(id) + 1) + 10_000 * Number(hold);

/** Absent as often as not, as while nodes hear of new settings of their route. Sums of these units are the same in any order. */
const ask = fc.option(
  fc.record({
    urgency: fc.constantFrom(0, 3, 7),
    value: fc.constantFrom('', 'x', 'y', 'z'),
    unit: fc.constantFrom(0, 0.25, 1, 2),
    cost: fc.constantFrom(1, 3),
  }),
  { nil: undefined, freq: 3 },
);
const lines = fc.array(fc.record({ key: fc.constantFrom('0x', '3', '3y', '7z', '7'), units: fc.constantFrom(0, 0, 0.5, 1) }), {
  maxLength: 3,
});
const asked = fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, { weight: 3, arbitrary: fc.constant(true) });
const hold = fc.tuple(
  node,
  idle,
  fc.uniqueArray(fc.tuple(holdId, ask), { selector: ([id]) => id }),
  fc.uniqueArray(holdId),
  fc.option(fc.integer({ min: 0, max: 8 })),
  fc.boolean(),
  lines,
  asked,
  fc.uniqueArray(holdId, { maxLength: 2 }),
);
const instanceBeat = fc.tuple(instanceId, fc.boolean(), fc.option(fc.tuple(state, fc.integer({ min: 1, max: 4 }), fc.option(startId))));

/** A counterexample is shown with what its steps did. */
function said(what: object, run: Step): Step {
  return Object.assign(run, { [fc.toStringMethod]: () => JSON.stringify(what) });
}

const step: fc.Arbitrary<Step> = fc.oneof(
  hold.map(
    ([id, free, add, remove, maxHeld, reset, served, asks, gathers]): Step =>
      said({ hold: { id, free, add, remove, maxHeld, reset, served, asks, gathers } }, (directory) =>
        directory.hold(route, peer(id), {
          idle: free,
          add: add.map(([one, wanted]) => ({
            id: one,
            ageMs: ageOf(id, one),
            ...(asks && wanted !== undefined ? { ask: wanted } : {}),
          })),
          remove,
          maxHeld,
          reset,
          ...(asks ? { lines: served, gathers } : {}),
        }),
      ),
  ),
  fc.tuple(node, idle).map(([id, free]): Step => said({ offer: { id, free } }, (directory) => directory.offer(route, peer(id), free))),
  fc
    .tuple(node, node, fc.integer({ min: 1, max: 3 }), idle, node)
    .map(
      ([from, asker, count, left, caller]): Step =>
        said({ short: { from, asker, count, left, caller } }, (directory) => directory.short(route, from, asker, count, left, caller)),
    ),
  fc.tuple(node, idle, fc.uniqueArray(instanceId), fc.uniqueArray(instanceBeat, { selector: ([id]) => id })).map(
    ([id, free, gone, beats]): Step =>
      (directory) =>
        directory.beatRoute(route, peer(id), {
          idle: free,
          gone,
          asksLargest: free > 1,
          instances: beats.map(([one, claim, said]) => ({ id: one, claim, info: said === null ? null : infoOf(one, ...said) })),
        }),
  ),
  fc.tuple(node, instanceId, fc.integer({ min: 0, max: 2 })).map(
    ([id, one, min]): Step =>
      (directory) =>
        directory.retire(route, id, one, min),
  ),
  fc.tuple(node, fc.boolean()).map(
    ([id, onlyDead]): Step =>
      (directory) =>
        directory.leaveRoute(route, id, onlyDead),
  ),
  fc.tuple(fc.uniqueArray(startId), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })).map(
    ([ids, ready, starting]): Step =>
      async (directory) =>
        directory.beginStarts(route, ids, 60_000, { ready, starting, begun: (await directory.startPlan(route)).begun }),
  ),
  startId.map(
    (id): Step =>
      (directory) =>
        directory.endStart(route, id),
  ),
  fc.tuple(startId, fc.boolean()).map(
    ([id, wantedAgain]): Step =>
      (directory) =>
        directory.endStart(route, id, { reason: `${id} is bad`, wantedAgain }),
  ),
  fc.integer({ min: 1, max: 2 }).map(
    (count): Step =>
      (directory) =>
        directory.wantInstances(route, count),
  ),
  fc.constant<Step>((directory) => directory.restart(route)),
  fc.constant<Step>((directory) => directory.noteFailure(route, 'it is bad')),
  fc.constant<Step>((directory) => directory.linked(route)),
);

function infoOf(id: string, said: InstanceInfo['state'], concurrency: number, start: string | null): InstanceInfo {
  return {
    id,
    seq: Number(id.slice(1)),
    concurrency,
    most: concurrency === 2 ? 9 : undefined,
    state: said,
    active: concurrency - 1,
    ...(start === null ? {} : { startId: start }),
  };
}

/** Without the directory's own times, and in an order of its own where the order is free. */
function comparable(answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null || !('now' in answer)) return answer;
  // What moves a revision is in suite/resting.ts.
  const { now, revision: _, ...rest } = answer as Record<string, unknown> & { now: number };
  const ageOfArrival = (arrival: unknown): unknown => (typeof arrival === 'number' ? Math.round((now - arrival) / 10_000) : arrival);
  if ('failingMs' in rest) rest.failingMs = Number(rest.failingMs) > 0;
  if (Array.isArray(rest.moves)) rest.moves = rest.moves.map((move) => JSON.stringify(move)).sort();
  if ('oldestHere' in rest) rest.oldestHere = ageOfArrival(rest.oldestHere);
  if ('oldestElsewhere' in rest) rest.oldestElsewhere = ageOfArrival(rest.oldestElsewhere);
  for (const name of ['firstHere', 'firstElsewhere']) {
    const first = rest[name] as { arrival: number } | null | undefined;
    if (first) rest[name] = { ...first, arrival: ageOfArrival(first.arrival) };
  }
  return rest;
}

/** What of a route's picture does not change while it is taken twice. */
function timeless({ name, held, active, slots, free, starting, instances }: RouteSnapshot): unknown {
  return { name, held, active, slots, free, starting, instances };
}

function withoutAges({ trouble, lastBegunMs, oldestBegunMs, ...plan }: StartPlan): unknown {
  const { failures, reason, retryInMs } = trouble ?? { failures: 0, reason: '', retryInMs: 0 };
  const ageless = reason.replace(/\d+\.\d s/, 'some s');
  return { ...plan, failures, reason: ageless, paused: retryInMs > 0, begunLately: [lastBegunMs !== null, oldestBegunMs !== null] };
}

test('every step is answered alike, and leaves the same behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await client.flushall();
      const twins = [new MemoryDirectory(), new RedisDirectory(connection)] as const;
      for (const [id, twin] of ['a', 'b'].flatMap((id) => twins.map((twin) => [id, twin] as const))) {
        await twin.beatNode({ ...peer(id), version: '1', startedMs: 0, held: 0, active: 0, links: 0 });
        await twin.enterRoutes(id, [route]);
      }
      const began = performance.now();
      for (const run of steps) {
        const [memory, redis] = [await run(twins[0]), await run(twins[1])];
        // On a machine that is this slow a promise may have lapsed in one of them and not yet in the other: nothing can be compared.
        fc.pre(performance.now() - began < PROMISE_MS);
        expect(comparable(redis)).toEqual(comparable(memory));
      }
      const plans = [await twins[0].startPlan(route), await twins[1].startPlan(route)] as const;
      expect(withoutAges(plans[1])).toEqual(withoutAges(plans[0]));
      const [memory, redis] = [await twins[0].snapshot(), await twins[1].snapshot()];
      expect(redis.routes.map(timeless)).toEqual(memory.routes.map(timeless));
      expect(redis.nodes.map(({ id }) => id)).toEqual(memory.nodes.map(({ id }) => id));
    }),
    { numRuns: 300 },
  );
});
