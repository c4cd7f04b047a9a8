/**
 * Hurts a cluster at random for a while, under steady load, and says what that cost:
 *
 *     npm run chaos -- --minutes 10 [--seed 7] [--clients 40] [--only 'kill -9 a node']
 *
 * Exit code 1 when a request was lost, answered twice or mixed up, when an application saw too much at once, or when a request
 * failed that no killed or frozen process explains.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';
import { type FaultName, WEIGHTS } from './faults.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    clients: { type: 'string', default: '40' },
    only: { type: 'string', multiple: true },
  },
});
const unknown = values.only?.find((name) => !(name in WEIGHTS));
if (unknown !== undefined) throw new Error(`--only ${unknown}: expected one of ${Object.keys(WEIGHTS).join(', ')}`);
const report = await runChaos({
  seconds: Number(values.minutes) * 60,
  seed: Number(values.seed ?? randomInt(2 ** 31)),
  clients: Number(values.clients),
  only: values.only as FaultName[] | undefined,
  say: (line) => console.error(line),
});
console.log(JSON.stringify(report, null, 2));
process.exit(report.broken.length > 0 ? 1 : 0);
