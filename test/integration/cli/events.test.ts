/** The event log, from the command line: what real processes told. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { COUNTING_APP } from '../../support/apps/apps.ts';
import { type ClusterNode, linkerArgs, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { runCommand } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

jest.setTimeout(60_000);

interface Happened {
  readonly code: string;
  readonly source: string;
  readonly node: string | null;
  readonly route: string | null;
  readonly text: string;
}

/** Each look is a process of its own. */
const COMMANDS_MS = 40_000;

let redis: RedisServer;
let a: ClusterNode;
let b: ClusterNode;
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-certificate-'));

beforeAll(async () => {
  redis = await startRedis();
  [a, b] = await Promise.all([startNode(redis.url, ['--id', 'a']), startNode(redis.url, ['--id', 'b'])]);
});
afterAll(async () => {
  await Promise.all([a.stop(), b.stop()]);
  await redis.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function happened(...args: string[]): Promise<Happened[]> {
  const { code, stdout } = await runCommand(['events', '--json', '--redis', redis.url, ...args]);
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Happened);
}

async function troubles(): Promise<string[]> {
  const { stdout } = await runCommand(['status', '--json', '--redis', redis.url]);
  return (JSON.parse(stdout) as { troubles: { severity: string; code: string; text: string }[] }).troubles.map(
    ({ severity, code, text }) => `${severity} ${code} ${text}`,
  );
}

test('a linker with another secret is told in the events, in the status and in the metrics', async () => {
  const app = COUNTING_APP;
  const linker = runCommand(linkerArgs({ proxies: [a.backend], route: 'app.test', concurrency: 1, app, args: ['--start-timeout', '3s'] }), {
    env: { PULLPROXY_SECRET: 'another secret' },
  });
  await eventually('told', async () => (await happened()).some(({ code, source }) => code === 'linker_refused' && source === 'a'));
  expect(await troubles()).toContainEqual(
    expect.stringMatching(/^warning linker_refused a: a linker \(or node\) at 127\.0\.0\.1 has another secret/),
  );
  expect(await (await fetch(`${a.admin}/metrics`)).text()).toMatch(/pullproxy_events_total\{level="warning",code="linker_refused"\} [1-9]/);
  await linker.catch(() => null);
});

test('what happened is recorded whatever a process writes to its own log', async () => {
  for (const level of ['error', 'silent']) {
    const quiet = ['node', '--id', `quiet-${level}`, '--redis', redis.url, '--log-level', level, '--listen', 'http://127.0.0.1:0'];
    const child = spawn(process.execPath, [MAIN, ...quiet, '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { env: {} });
    let written = '';
    child.stdout.on('data', (chunk: Buffer) => {
      written += chunk;
    });
    const told = async (code: string): Promise<boolean> =>
      (await happened()).some((event) => event.code === code && event.source === `quiet-${level}`);
    await eventually('started and warned', async () => (await told('started')) && (await told('no_secret')), COMMANDS_MS);
    child.kill('SIGTERM');
    await once(child, 'close');
    expect(written).toBe('');
  }
});

test('a node that was killed is missing, also for who looks later, until it is back', async () => {
  b.kill('SIGKILL');
  await eventually(
    'missed',
    async () => (await troubles()).some((text) => text.startsWith('warning node_missing node b is missing since')),
    COMMANDS_MS,
  );
  // Events leave a process once a second.
  await eventually(
    'told as well',
    async () => (await happened()).some(({ code, source, node }) => code === 'node_lost' && source === 'a' && node === 'b'),
    COMMANDS_MS,
  );
  b = await startNode(redis.url, ['--id', 'b']);
  await eventually('back', async () => !(await troubles()).some((text) => text.includes('node_missing')), COMMANDS_MS);
  await eventually('told', async () => (await happened()).some(({ code, node }) => code === 'node_back' && node === 'b'), COMMANDS_MS);
});

test('a node that does not come back is forgotten when an operator says so', async () => {
  b.kill('SIGKILL');
  await eventually('missed', async () => (await troubles()).some((text) => text.includes('node_missing')), COMMANDS_MS);
  expect(await runCommand(['forget', 'b', '--redis', redis.url])).toMatchObject({ code: 0 });
  expect((await troubles()).filter((text) => text.includes('node_missing'))).toEqual([]);
  expect(await runCommand(['forget', 'b', '--redis', redis.url])).toMatchObject({ code: 1 });
  b = await startNode(redis.url, ['--id', 'b']);
});

test('a failover or restart of Redis is in the log when it is back, told by who was there', async () => {
  await redis.kill();
  await eventually('noticed', () => a.logs.some(({ msg }) => msg === 'disconnected from Redis'));
  await redis.restart();
  await eventually(
    'told',
    async () => {
      const all = await happened().catch(() => []);
      const codes = all.filter(({ source }) => source === 'a').map(({ code }) => code);
      // The node that beats first notices that the directory was lost.
      const isLost = all.some(({ code }) => code === 'directory_lost');
      return isLost && ['redis_disconnected', 'redis_connected', 'redis_failover'].every((code) => codes.includes(code));
    },
    COMMANDS_MS,
  );
  await eventually('over', async () => !(await troubles()).some((text) => /redis_(disconnected|unreachable)/.test(text)), COMMANDS_MS);
});

test('a certificate that expires soon is said in time, and is in the metrics', async () => {
  const files = ['-keyout', join(directory, 'soon.key'), '-out', join(directory, 'soon.crt')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  expect(spawnSync('openssl', ['req', '-x509', ...key, '-subj', '/CN=soon', '-days', '5', ...files]).status).toBe(0);
  const c = await startNode(redis.url, ['--id', 'c', '--listen', 'https://127.0.0.1:0', '--tls-dir', directory]);
  await eventually('said', async () =>
    (await troubles()).some((text) => /^warning certificate_expires c: .*CN=soon.* expires in 4 days/.test(text)),
  );
  expect(await (await fetch(`${c.admin}/metrics`)).text()).toMatch(/pullproxy_certificate_expiry_seconds\{file="[^"]*soon\.crt"\} \d{10}/);
  await c.stop();
});
