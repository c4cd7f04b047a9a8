/**
 * Hurts a cluster at random for a while, under steady load, and says what that cost:
 *
 *     npm run chaos -- --minutes 10 [--requests 200000] [--seed 7] [--clients 40] [--only 'kill -9 a node']
 *
 * The same seed inflicts the same faults in the same order. Exit code 1 when a request was lost, answered or served twice or mixed
 * up, when an application saw too much at once, when a client was held beside an idle slot, or when a request failed that was
 * not inside a killed process (explain.ts says what explains what).
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';
import { isFaultName, WEIGHTS } from './fault-names.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    requests: { type: 'string', default: '0' },
    seed: { type: 'string' },
    clients: { type: 'string', default: '40' },
    only: { type: 'string', multiple: true },
  },
});
const only = values.only?.filter(isFaultName);
const unknown = values.only?.find((name) => !isFaultName(name));
if (unknown !== undefined) throw new Error(`--only ${unknown}: expected one of ${Object.keys(WEIGHTS).join(', ')}`);
const report = await runChaos({
  seconds: Number(values.minutes) * 60,
  requestsMin: Number(values.requests),
  seed: Number(values.seed ?? randomInt(2 ** 31)),
  clients: Number(values.clients),
  only,
  say: (line) => console.error(line),
});
console.log(JSON.stringify(report, null, 2));
process.exit(report.broken.length > 0 ? 1 : 0);
