/**
 * Rolling restart, a killed node, and Redis away, each under steady load, and what the clients have seen of it:
 *
 *     npm run upkeep -- [--rate 500] [--pause 5] [--away 30] [--only rolling|kill|frozen|killed|troubles]
 *
 * Exit code 1 when a request failed that had to be answered.
 */
import { parseArgs } from 'node:util';
import type { LoadReport } from '../../support/paced-load.ts';
import { World } from '../chaos/world.ts';
import { killOneNode, redisAway, redisTroubles, rollingRestart, type UpkeepOptions } from './scenarios.ts';

const NODES = 3;
/** The concurrency of each of at most six instances: enough for the load on a crowded machine, where each response takes its time. */
const CONCURRENCY = 20;
const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '500' },
    pause: { type: 'string', default: '5' },
    away: { type: 'string', default: '30' },
    only: { type: 'string' },
  },
});
const options: UpkeepOptions = {
  perSecond: Number(values.rate),
  pauseMs: Number(values.pause) * 1_000,
  say: (line) => console.error(line),
};
const awayMs = Number(values.away) * 1_000;
let failed = false;

await run('rolling', 'rolling restart of all nodes and linkers', (world) => rollingRestart(world, options), mustNotFail);
await run(
  'kill',
  'kill -9 of one of three nodes',
  (world) => killOneNode(world, options),
  ({ elsewhere, lost }) => elsewhere + lost,
);
await run('frozen', 'Redis frozen', (world) => redisAway(world, awayMs, 'frozen', options), mustNotFail);
await run('killed', 'Redis killed, back empty', (world) => redisAway(world, awayMs, 'killed', options), mustNotFail);
await run('troubles', 'one trouble with Redis after the other', (world) => redisTroubles(world, awayMs / 5, options), mustNotFail);
process.exit(failed ? 1 : 0);

async function run<R extends LoadReport>(
  name: string,
  title: string,
  scenario: (world: World) => Promise<R>,
  wrong: (report: R) => number,
): Promise<void> {
  if (values.only !== undefined && values.only !== name) return;
  const world = new World(CONCURRENCY);
  try {
    await world.start(NODES);
    const report = await scenario(world);
    const violations = world.traces.violations().length;
    const { failures, ...numbers } = report;
    console.log(title, { ...numbers, failed: failures.length, violations }, failures.slice(0, 10));
    failed ||= wrong(report) + violations > 0;
  } finally {
    await world.stop();
  }
}

function mustNotFail({ failures, lost }: LoadReport): number {
  return failures.length + lost;
}
