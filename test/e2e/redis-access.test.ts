/** Redis as it should be run: by TLS, and as a user who may do no more than deploy/redis.acl says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts } from '../bench/children.ts';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { ask } from '../support/clients.ts';
import { Ledger, type LinkerArgs, linkerArgs, SECRET } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, runCommand, startProcess } from '../support/processes.ts';
import { MAIN } from '../support/program-path.ts';
import { output } from '../support/programs.ts';

jest.setTimeout(90_000);

const ACL = new URL('../../deploy/redis.acl', import.meta.url);
const START_LINKER = fileURLToPath(new URL('../support/apps/start-linker.mjs', import.meta.url));
const PASSWORD = 'a-password-for-tests';
const ADMIN = 'an-administrators-password';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-acl-'));
const running: Running[] = [];
const ledger = new Ledger();
let certificate: Certificate;
let redis: ChildProcess;
let port: number;
let url: string;

beforeAll(async () => {
  certificate = makeCertificate('localhost');
  port = await freePort();
  url = `rediss://pullproxy:${PASSWORD}@127.0.0.1:${port}`;
  const acl = join(directory, 'users.acl');
  writeFileSync(acl, `${readFileSync(ACL, 'utf8').replace('change-me', PASSWORD)}user default on >${ADMIN} ~* &* +@all\n`);
  const tls = ['--tls-port', String(port), '--port', '0', '--tls-auth-clients', 'no', '--tls-cert-file', certificate.certFile];
  const files = ['--tls-key-file', certificate.keyFile, '--tls-ca-cert-file', certificate.certFile, '--aclfile', acl];
  redis = spawn('redis-server', [...tls, ...files, '--save', '', '--dir', directory], { stdio: 'ignore' });
  await accepts(port);
});

afterAll(async () => {
  for (const one of running.reverse()) await one.stop();
  redis?.kill('SIGKILL');
  certificate?.remove();
  ledger.remove();
  rmSync(directory, { recursive: true, force: true });
});

function redisCli(...args: readonly string[]): Promise<string> {
  const at = ['-h', '127.0.0.1', '-p', String(port), '--tls', '--cacert', certificate.certFile];
  return output('redis-cli', [...at, ...args], { REDISCLI_AUTH: ADMIN });
}

test('nodes, scaler and commands do all that they do, nothing of it is refused, and nothing else is allowed', async () => {
  const env = { PULLPROXY_SECRET: SECRET, PULLPROXY_REDIS: url, NODE_EXTRA_CA_CERTS: certificate.certFile };
  const start = async (args: readonly string[], more = {}): Promise<Running> => {
    const one = await startProcess(args, { env: { ...env, ...more } });
    running.push(one);
    return one;
  };
  const node = await start(['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
  const other = await start(['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
  const linker: LinkerArgs = {
    proxies: [String(node.ready.backend)],
    route: '{route}',
    concurrency: 1,
    app: COUNTING_APP,
    args: ['--idle-timeout', '2s'],
  };
  const given = { ...ledger.env(1), COMMANDS_FILE: ledger.commands, LINKER_SECRET: SECRET };
  const names = Object.keys(given).flatMap((name) => ['--command-env', name]);
  await start(['scaler', '--admin', '127.0.0.1:0', ...names, '--', process.execPath, START_LINKER, MAIN, ...linkerArgs(linker)], given);
  const set = await runCommand(['route', 'set', 'acl.test', 'maxInstances=2'], { env });
  expect([set.code, set.stderr]).toEqual([0, '']);
  const urls = [node, other].map(({ ready }) => String((ready.listen as string[])[0]));
  const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => ask(urls[i % 2] as string, { host: 'acl.test' })));
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
  for (const args of [['status', '--json'], ['inspect'], ['route', 'list'], ['route', 'get', 'acl.test']])
    expect([args, (await runCommand(args, { env })).code]).toEqual([args, 0]);
  const jobs = await fetch(`http://${String(node.ready.admin)}/api/v1/jobs`);
  expect(jobs.status).toBe(200);
  await eventually(
    'the instances leave',
    async () => (await (await fetch(`http://${String(node.ready.admin)}/api/v1/state`)).text()).includes('"instances":[]'),
    30_000,
  );
  expect((await runCommand(['route', 'delete', 'acl.test'], { env })).code).toBe(0);
  expect((await redisCli('ACL', 'LOG')).trim()).toBe('');
  for (const command of [['FLUSHALL'], ['KEYS', '*'], ['CONFIG', 'GET', '*'], ['GET', 'another-application']])
    expect(await redisCli('ACL', 'DRYRUN', 'pullproxy', ...command)).toMatch(/no permissions|NOPERM|has no/i);
  const logged = running.map((one) => JSON.stringify(one.logs) + one.text()).join('');
  for (const hidden of [PASSWORD, SECRET]) expect(logged).not.toContain(hidden);
});
