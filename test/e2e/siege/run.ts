/**
 * Besieges a cluster for a while: hostile clients, applications, linkers and Redis writers at once, beside honest clients of other
 * tenants at a fixed rate. Needs redis-server and openssl.
 *
 *     npm run siege -- [--seconds 3600] [--seed 7] [--nodes 3] [--rate 100] [--share 1] [--only 'floods of HTTP/2'] [--out FILE]
 *
 * `--share`: of the strikes in a second that each besieger is good for. Exit code 1 when an honest request failed, a process ended,
 * memory grows, or a node counted an internal error.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runSiege, summaryOf } from './siege.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3600' },
    seed: { type: 'string' },
    nodes: { type: 'string', default: '3' },
    rate: { type: 'string', default: '100' },
    share: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
    out: { type: 'string' },
  },
});
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
const report = await runSiege({
  seconds: Number(values.seconds),
  seed: Number(values.seed ?? randomInt(2 ** 31)),
  nodes: Number(values.nodes),
  rate: Number(values.rate),
  share: Number(values.share),
  only: values.only,
  say: (line) => console.error(line),
  signal: stop.signal,
});
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
else console.log(JSON.stringify(report, null, 2));
console.error(`\n${summaryOf(report)}`);
process.exit(report.broken.length > 0 ? 1 : 0);
