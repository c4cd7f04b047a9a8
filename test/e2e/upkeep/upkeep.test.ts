/** What operators do to a running cluster costs no request; npm run upkeep does it for longer and under more load. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { World } from '../chaos/world.ts';
import { killOneNode, redisAway, redisTroubles, rollingRestart, type UpkeepOptions } from './scenarios.ts';

jest.setTimeout(240_000);

const options: UpkeepOptions = { perSecond: 150, pauseMs: 1_000 };

describe('three nodes under steady load', () => {
  let world: World;

  beforeEach(async () => {
    world = new World(20);
    await world.start(3);
  });

  afterEach(async () => {
    const [ended, violations] = [world.endedUnasked, world.traces.violations()];
    await world.stop();
    expect([ended, violations]).toEqual([[], []]);
  });

  test('every node and every linker is restarted, and no request fails', async () => {
    const { failures, lost, sent, answered, restarts } = await rollingRestart(world, options);
    expect(failures).toEqual([]);
    expect([lost, answered]).toEqual([0, sent]);
    expect(restarts).toBeGreaterThan(3);
  });

  test('one node is killed, and nobody at the other two notices', async () => {
    const { failures, elsewhere, lost, wentOn } = await killOneNode(world, options);
    expect([elsewhere, lost]).toEqual([0, 0]);
    // Those whose connection broke with the node; whoever came after went on to another one.
    for (const { why } of failures) expect(why).toMatch(/ECONNRESET|EPIPE|socket hang up|broken answer/);
    expect(wentOn).toBeGreaterThan(0);
  });

  test.each(['frozen', 'killed'] as const)(
    'Redis is %s for a while: warm requests go on, and who wanted a start meanwhile gets it after',
    async (how) => {
      const { failures, lost, coldStatus } = await redisAway(world, 6_000, how, options);
      expect(failures).toEqual([]);
      expect([lost, coldStatus]).toEqual([0, 200]);
    },
  );

  test('Redis is slow, paused, silent, full, empty, loses connections and messages: no request fails', async () => {
    const { failures, lost, sent, answered, p50 } = await redisTroubles(world, 1_500, options);
    process.stderr.write(`median ms of warm answers: ${JSON.stringify(p50)}\n`);
    expect(failures).toEqual([]);
    expect([lost, answered]).toEqual([0, sent]);
  });
});
