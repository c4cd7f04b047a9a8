/**
 * Compares one node and one linker with two chained HAProxy processes of one thread each, and with others, in one run. Needs Linux, nginx,
 * haproxy, wrk, curl and openssl, redis-server for what crosses nodes, and valgrind where instructions are to be counted.
 *
 *     npm run bench [-- --quick] [--only keep-alive,held] [--rounds 5] [--seconds 5] [--out test/bench/results] [--against CHECKOUT]
 *
 * `--against` takes the checkout of another version into keep-alive, close and grpc: old and new in one run.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './report/chart.ts';
import { line, type Report, table } from './report/table.ts';
import { bodies } from './suites/bodies.ts';
import { crossNode, workers } from './suites/cluster.ts';
import { grpc } from './suites/grpc.ts';
import { handoff } from './suites/handoff.ts';
import { held } from './suites/held.ts';
import { instructions } from './suites/instructions.ts';
import { latency } from './suites/latency.ts';
import { links } from './suites/links.ts';
import { tcp, webSockets } from './suites/messages.ts';
import { pull } from './suites/pull.ts';
import { close, keepAlive, tls } from './suites/requests.ts';
import type { Result, Suite } from './suites/suite.ts';
import { wake } from './suites/wake.ts';
import { Surroundings } from './surroundings.ts';

const SUITES: Readonly<Record<string, Suite>> = {
  'keep-alive': keepAlive,
  close,
  latency,
  bodies,
  websocket: webSockets,
  tcp,
  tls,
  grpc,
  pull,
  'cross-node': crossNode,
  handoff,
  workers,
  wake,
  held,
  links,
  instructions,
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    out: { type: 'string' },
    against: { type: 'string' },
  },
});
const { quick } = values;
const extent = { quick, rounds: Number(values.rounds ?? (quick ? 2 : 5)), seconds: Number(values.seconds ?? (quick ? 2 : 5)) };
const only = values.only?.split(',') ?? Object.keys(SUITES);
const unknown = only.filter((name) => !Object.hasOwn(SUITES, name));
if (unknown.length > 0) {
  console.error(`--only: no suite is called ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(', ')}`);
  process.exit(2);
}

const [loadBefore = 0] = loadavg();
const out = values.out ?? fileURLToPath(new URL('./results', import.meta.url));
const file = join(out, quick || values.only !== undefined ? 'part' : 'latest');
mkdirSync(out, { recursive: true });
const machine = {
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 1_073_741_824),
  kernel: release(),
  node: process.version,
  haproxy: /version (\S+)/.exec(execFileSync('haproxy', ['-v'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
};
const results: Result[] = [];
for (const name of only) {
  const surroundings = new Surroundings(values.against);
  try {
    await (SUITES[name] as Suite)(surroundings, extent, (result) => {
      results.push(result);
      console.log(line(result));
    });
  } finally {
    await surroundings.close();
  }
  // A suite that fails takes nothing from those before it.
  write();
}
console.log(`\nwritten: ${file}.json, .md and .svg`);

function write(): void {
  const report: Report = { date: new Date().toISOString().slice(0, 10), machine, loadBefore, ...extent, results };
  writeFileSync(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${file}.md`, table(report, `${basename(file)}.svg`));
  writeFileSync(`${file}.svg`, chart(report));
}
