/** What a startup command leaves in the background runs on when the scaler ends, in order or not, though it writes all the time. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FILE_BYTES_MAX } from '../../src/scaling/output-files.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, SECRET, setRoute, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory, type Running, startProcess } from '../support/processes.ts';
import { MAIN } from '../support/program-path.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

/** A line to each of stdout and stderr as often as it can; it counts them. */
const CHATTERBOX = `let lines = 0;
const line = 'x'.repeat(1000) + '\\n';
setInterval(() => { process.stdout.write(line); process.stderr.write(line); lines += 2; }, 1);
require('node:http').createServer((q, r) => r.end(process.pid + ' ' + lines)).listen(process.env.PORT, '127.0.0.1');`;

let redis: RedisServer;
let node: ClusterNode;
const directory = join(ownDirectory(), 'output');

beforeAll(async () => {
  redis = await startRedis();
  node = await startNode(redis.url);
});

afterAll(() => redis?.stop());

function startScaler(): Promise<Running> {
  // As in the README's first example: no redirection, no setsid.
  const script = '"$@" & echo "started $!"';
  const linker = [
    process.execPath,
    MAIN,
    'linker',
    '--proxy',
    node.backend,
    '--route',
    '{route}',
    '--concurrency',
    '10',
    '--',
    process.execPath,
    '-e',
    CHATTERBOX,
  ];
  return startProcess(
    [
      'scaler',
      '--redis',
      redis.url,
      '--admin',
      '127.0.0.1:0',
      '--output-dir',
      directory,
      '--command-env',
      'PULLPROXY_SECRET',
      '--',
      'sh',
      '-c',
      script,
      'sh',
      ...linker,
    ],
    { env: { PULLPROXY_SECRET: SECRET } },
  );
}

async function said(route: string): Promise<{ pid: number; lines: number }> {
  const { status, body } = await ask(node.url, { host: route });
  expect(status).toBe(200);
  const [pid = 0, lines = 0] = body.split(' ').map(Number);
  return { pid, lines };
}

test.each<[string, NodeJS.Signals]>([
  ['in order', 'SIGTERM'],
  ['by kill -9', 'SIGKILL'],
])(
  '%s',
  async (_how, signal) => {
    const route = `${signal.toLowerCase()}.example.com`;
    await setRoute(redis.url, route, 'maxInstances=1');
    const scaler = await startScaler();
    const before = await said(route);
    // The instance may serve before the job remembers what its command has said.
    await eventually('the job says what its command has said', async () => {
      const { jobs } = (await (await fetch(`http://${scaler.ready.admin}/api/v1/jobs`)).json()) as {
        jobs: { route: string; runs: { output: string }[] }[];
      };
      return /started \d+/.test(jobs.find((job) => job.route === route)?.runs[0]?.output ?? '');
    });
    scaler.kill(signal);
    await scaler.exit;
    // Far more than a pipe holds, each line longer than what a broken pipe lets through unnoticed.
    await eventually('it has written on', async () => (await said(route)).lines > before.lines + 2_000, 30_000);
    const next = await startScaler();
    expect((await said(route)).pid).toBe(before.pid);
    const sizes = (): number[] => (existsSync(directory) ? readdirSync(directory).map((name) => statSync(join(directory, name)).size) : []);
    await eventually('the next scaler bounds what it writes', async () => Math.max(...sizes()) <= FILE_BYTES_MAX);
    expect((await said(route)).pid).toBe(before.pid);
    expect((await state(node)).routes.find(({ name }) => name === route)?.instances).toHaveLength(1);
    await next.stop();
  },
  90_000,
);
