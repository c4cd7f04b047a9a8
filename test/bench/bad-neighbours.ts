/**
 * Whether bad clients and bad applications slow another route: its latency at a steady rate, in turns with and without 10,000 slow
 * connections of one client and an application that never answers while 1,000 clients want it:
 *
 *     npm run neighbours -- [--rounds 5] [--seconds 6] [--rate 300] [--connections 10000] [--per-address 1000]
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { PacedLoad } from '../support/paced-load.ts';
import { Children } from './children.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    rate: { type: 'string', default: '300' },
    connections: { type: 'string', default: '10000' },
    'per-address': { type: 'string' },
  },
});
const SECRET = { PULLPROXY_SECRET: 'a secret for benchmarks' };
const WANTING = 1_000;
const app = (name: string): string[] => [process.execPath, new URL(`./apps/${name}`, import.meta.url).pathname];
const ANSWERS = `require('node:http').createServer((q, a) => a.end(q.headers['x-request-id'])).listen(Number(process.env.PORT), '127.0.0.1')`;

const children = new Children();
try {
  const limits = values['per-address'] === undefined ? [] : ['--connections-per-address-max', values['per-address']];
  const ports = ['--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-level', 'info'];
  const { ready } = await children.pullproxy(['node', ...ports, ...limits, '--hold-timeout', '5m'], SECRET);
  const port = Number(new URL((ready.listen as string[])[0] as string).port);
  const linker = (route: string, command: readonly string[]) =>
    children.pullproxy(['linker', '--proxy', String(ready.backend), '--route', route, '--concurrency', '100', '--', ...command], SECRET);
  await linker('good.test', [process.execPath, '-e', ANSWERS]);
  await linker('never.test', app('never.mjs'));
  const quiet: number[] = [];
  const disturbed: number[] = [];
  await measured(port, 2);
  for (let round = 0; round < Number(values.rounds); round++) {
    quiet.push(await measured(port, Number(values.seconds)));
    const leave = await neighbours(port);
    disturbed.push(await measured(port, Number(values.seconds)));
    await leave();
    console.error(`p99 of ${quiet.at(-1)?.toFixed(2)} ms alone, ${disturbed.at(-1)?.toFixed(2)} ms with bad neighbours`);
  }
  const [alone, beside] = [median(quiet), median(disturbed)];
  console.log(
    JSON.stringify({ p99AloneMs: alone, p99BesideMs: beside, changePercent: Math.round((beside / alone - 1) * 100), quiet, disturbed }),
  );
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await children.stopAll();
}
process.exit();

/** p99 in ms. */
async function measured(at: number, seconds: number): Promise<number> {
  const load = new PacedLoad({ targets: [{ port: at }], host: 'good.test', perSecond: Number(values.rate) });
  await pause(seconds * 1_000);
  const { p99Ms, failures, lost } = await load.stop();
  if (failures.length + lost > 0) throw new Error(`${failures.length + lost} requests of the good clients failed: ${failures[0]?.why}`);
  return p99Ms;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

/** All of them are there when it resolves; returns how they go. */
async function neighbours(at: number): Promise<() => Promise<void>> {
  const env = {
    ...process.env,
    PORT: String(at),
    COUNT: values.connections,
    SOURCE: '127.0.0.9',
    WANTING: String(WANTING),
    WANTED: 'never.test',
  };
  // On machines of their own they would not take a processor from anybody here.
  const slow = children.start('nice', ['-n', '19', ...app('slow-clients.mjs')], { env });
  // Where only a part is let in, they are never all there.
  const there = values['per-address'] === undefined ? once(slow.stdout as NodeJS.ReadableStream, 'data') : pause(6_000);
  await Promise.race([there, pause(30_000)]);
  return async () => {
    const ended = once(slow, 'exit');
    slow.kill('SIGKILL');
    await ended;
    await pause(3_000);
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
