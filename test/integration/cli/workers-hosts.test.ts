/** What hosts do to `node --workers`: starts that fail, workers that hang, supervisors that are killed, no descriptors, full disks. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { closeApps, ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { ownDirectory, type Running, runCommand, startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const NODE = ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--workers', '2'];
const STACK = /^\s+at .*:\d+/m;

let redis: RedisServer;
const sockets: Socket[] = [];

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  closeApps();
});

const preload = (code: string): Record<string, string> => ({
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(`if (process.argv[2] === 'worker') { ${code} }`)}`,
});
const urlOf = ({ ready }: Running): string => (ready.listen as string[])[0] as string;
const statusOf = (url: string): Promise<number> =>
  fetch(url, { headers: { connection: 'close' } }).then(
    ({ status }) => status,
    () => 0,
  );

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

/** Processes with this word in their command line. */
function saying(word: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'latin1').includes(word);
    } catch {
      return false;
    }
  });
}

describe('a start that fails', () => {
  test.each([
    ['a file that can not be written', ['--access-log', '/proc/nope/log'], 2, /--access-log "\/proc\/nope\/log"/],
    ['an address that is not of this machine', ['--listen', 'http://192.0.2.1:8080'], 1, /EADDRNOTAVAIL/],
  ])('%s: one message, no stack, nothing left', async (_what, args, code, message) => {
    const id = `failing-${process.pid}-${code}`;
    const exit = await runCommand([...NODE, '--redis', redis.url, '--id', id, ...args]);
    expect(exit.code).toBe(code);
    expect(exit.stderr).toMatch(message);
    expect(exit.stderr).not.toMatch(STACK);
    expect(exit.stderr.match(/^pullproxy /gm)).toHaveLength(1);
    expect(exit.stderr).toMatch(/^pullproxy node: /m);
    expect(saying(id)).toEqual([]);
  });

  test('a worker that is killed while it starts: said without a stack', async () => {
    const exit = await runCommand([...NODE, '--redis', redis.url], { env: preload("process.kill(process.pid, 'SIGKILL')") });
    expect(exit.code).toBe(1);
    expect(exit.stderr).toBe("pullproxy node: a worker can't start: it ended with SIGKILL\n");
  });
});

describe('a worker that hangs', () => {
  test('in its start keeps no supervisor from leaving', async () => {
    const hang = preload('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    const supervisor = spawn(process.execPath, [MAIN, ...NODE, '--redis', redis.url], {
      cwd: ownDirectory(),
      env: { PATH: process.env.PATH, ...hang },
      stdio: 'ignore',
    });
    const exit = once(supervisor, 'exit');
    const pid = supervisor.pid as number;
    await eventually('the workers are there', () => childrenOf(pid).length === 2, 20_000);
    const workers = childrenOf(pid);
    supervisor.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    expect(workers.filter(isAlive)).toEqual([]);
  });

  test('is replaced on SIGUSR2 as well', async () => {
    const supervisor = await startProcess([...NODE, '--redis', redis.url]);
    const before = childrenOf(supervisor.pid);
    process.kill(before[0] as number, 'SIGSTOP');
    supervisor.kill('SIGUSR2');
    await supervisor.logged(({ msg }) => msg === 'all workers were restarted', 60_000);
    expect(before.filter(isAlive)).toEqual([]);
    expect(await statusOf(urlOf(supervisor))).toBe(404);
    expect(await supervisor.stop()).toEqual({ code: 0, signal: null });
  });
});

test('a worker whose supervisor was killed before it listened to that ends', async () => {
  // As on a busy machine: its modules are not loaded yet.
  const slow = preload('await new Promise((resolve) => setTimeout(resolve, 1_000));');
  const supervisor = spawn(process.execPath, [MAIN, ...NODE, '--redis', redis.url], {
    cwd: ownDirectory(),
    env: { PATH: process.env.PATH, ...slow },
    stdio: 'ignore',
  });
  await eventually('the workers are there', () => childrenOf(supervisor.pid as number).length === 2, 20_000);
  const workers = childrenOf(supervisor.pid as number);
  supervisor.kill('SIGKILL');
  await eventually('the workers are gone', () => !workers.some(isAlive), 20_000);
});

test('a second signal ends a supervisor and its workers at once, whatever holds them', async () => {
  const supervisor = await startProcess([...NODE, '--redis', redis.url]);
  const workers = childrenOf(supervisor.pid);
  for (const pid of workers) process.kill(pid, 'SIGSTOP');
  supervisor.kill('SIGINT');
  await supervisor.logged(({ msg }) => msg === 'supervisor draining');
  supervisor.kill('SIGINT');
  expect(await supervisor.exit).toEqual({ code: 130, signal: null });
  await eventually('the workers are gone', () => !workers.some(isAlive));
});

test('workers that have no descriptors left, and a full disk for their access log, serve again', async () => {
  const app = await ScriptedApp.serving(() => ok('fine'));
  const supervisor = await startProcess([...NODE, '--redis', redis.url, '--access-log', '/dev/full']);
  const args = ['--route', '*', '--concurrency', '4', '--app', `127.0.0.1:${app.port}`];
  const linker = await startProcess(['linker', '--proxy', String(supervisor.ready.backend), ...args]);
  const url = urlOf(supervisor);
  await eventually('it serves', async () => (await statusOf(url)) === 200, 20_000);
  const workers = childrenOf(supervisor.pid);
  for (const pid of [supervisor.pid, ...workers])
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${readdirSync(`/proc/${pid}/fd`).length + 4}:1024`]);
  for (let i = 0; i < 100; i++) sockets.push(connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {}));
  await eventually('some were turned away', () => sockets.some(({ destroyed }) => destroyed), 20_000);
  for (const socket of sockets.splice(0)) socket.destroy();
  await eventually('it serves again', async () => (await statusOf(url)) === 200, 20_000);
  for (const pid of [supervisor.pid, ...workers]) execFileSync('prlimit', ['--pid', String(pid), '--nofile=1024:1024']);
  expect(workers.every(isAlive)).toBe(true);
  const metrics = async (): Promise<string> => (await fetch(`http://${supervisor.ready.admin}/metrics`)).text();
  await eventually('lines are dropped, and counted', async () => /^pullproxy_access_log_dropped_total [1-9]/m.test(await metrics()));
  expect(await metrics()).not.toMatch(/^pullproxy_internal_errors_total\{where="\w+"\} [1-9]/m);
  expect(await linker.stop()).toEqual({ code: 0, signal: null });
  expect(await supervisor.stop()).toEqual({ code: 0, signal: null });
});
