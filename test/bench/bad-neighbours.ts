/**
 * Whether bad clients and bad applications slow another route: its latency at a steady rate, in turns with and without 10,000 slow
 * connections of one client and an application that never answers while 1,000 clients want it:
 *
 *     npm run neighbours -- [--rounds 5] [--seconds 10] [--rate 1000] [--think-ms 20] [--connections 10000] [--per-address 1000]
 *
 * `--think-ms`: how long the application takes for an answer; without it, nginx answers at once.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fixedRate } from './fixed-rate.ts';
import { median } from './load.ts';
import { cpuNs, type Sample } from './rounds.ts';
import { Surroundings, type Target } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
    rate: { type: 'string', default: '1000' },
    'think-ms': { type: 'string' },
    connections: { type: 'string', default: '10000' },
    'per-address': { type: 'string' },
  },
});
const NEVER = 'never.test';
const WANTING = 1_000;
/** Slow heads are answered with 408 after this, and their clients come anew: by then as many come as go. */
const SETTLED_MS = 12_000;
/** The node has seen that they left. */
const LEFT_MS = 3_000;

interface Round {
  readonly alone: Sample;
  readonly beside: Sample;
  /** The ratio of their p99. */
  readonly ratio: number;
}

const surroundings = new Surroundings();
try {
  const limits = values['per-address'] === undefined ? [] : ['--connections-per-address-max', values['per-address']];
  const node = await surroundings.startNode({ args: [...limits, '--hold-timeout', '5m'] });
  const think = values['think-ms'];
  const app =
    think === undefined ? await surroundings.startOrigin() : (await surroundings.startApp('thinking.mjs', { THINK_MS: think })).port;
  const linker = await surroundings.startLinker(node.backend, app, { concurrency: 100 });
  const never = await surroundings.startApp('never.mjs');
  await surroundings.startLinker(node.backend, never.port, { route: NEVER, concurrency: 100 });
  const target: Target = { name: 'pullproxy', address: node.address, pids: { node: node.pid, linker } };
  // Code that is not compiled yet takes longer, with and without neighbours.
  await round(target);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await round(target));
  const of = (read: (one: Round) => number): number => Math.round(median(rounds.map(read)) * 100) / 100;
  console.log(
    JSON.stringify({
      p99AloneMs: of(({ alone }) => alone.p99Ms),
      p99BesideMs: of(({ beside }) => beside.p99Ms),
      changePercent: Math.round((of(({ ratio }) => ratio) - 1) * 100),
      ratios: rounds.map(({ ratio }) => Math.round(ratio * 100) / 100),
    }),
  );
} finally {
  await surroundings.close();
}
process.exit();

async function round(target: Target): Promise<Round> {
  const alone = await measured(target);
  const neighbours = await startNeighbours(target.address);
  const node = target.pids.node as number;
  const spentNs = cpuNs(node);
  const beside = await measured(target);
  const busy = (cpuNs(node) - spentNs) / 1e9 / Number(values.seconds);
  neighbours.kill('SIGKILL');
  await once(neighbours, 'exit');
  await pause(LEFT_MS);
  const both = ({ p50Ms, p99Ms }: Sample): string => `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
  console.error(`alone ${both(alone)}; with bad neighbours ${both(beside)}, the node ${busy.toFixed(2)} busy`);
  return { alone, beside, ratio: beside.p99Ms / alone.p99Ms };
}

async function measured(target: Target): Promise<Sample> {
  const sample = await fixedRate(target, Number(values.rate), Number(values.seconds));
  if (sample.errors > 0) throw new Error(`${sample.errors} requests of the good clients were not answered`);
  return sample;
}

/** All of them are there when it resolves. */
async function startNeighbours(address: string): Promise<ChildProcess> {
  const [, port = ''] = address.split(':');
  const env = {
    ...process.env,
    PORT: port,
    COUNT: values.connections,
    SOURCE: '127.0.0.9',
    WANTING: String(WANTING),
    WANTED: NEVER,
  };
  const file = new URL('./apps/slow-clients.mjs', import.meta.url).pathname;
  // On machines of their own they would not take a processor from anybody here.
  const slow = surroundings.children.start('chrt', ['--idle', '0', process.execPath, file], { env });
  // Where only a part is let in, they are never all there.
  const there = values['per-address'] === undefined ? once(slow.stdout as NodeJS.ReadableStream, 'data') : pause(6_000);
  await Promise.race([there, pause(30_000)]);
  await pause(SETTLED_MS);
  return slow;
}
