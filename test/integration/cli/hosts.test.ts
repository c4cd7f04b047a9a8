/** What hosts do to each server process: signals, full disks, readers that go away, no descriptors, clocks that jump, and faults that nobody foresaw. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { closeApps, ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { type LogLine, ownDirectory, type Running, startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const NODE = ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
const MEANINGLESS = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGWINCH'] as const;

const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  closeApps();
});

const urlOf = (line: LogLine): string => (line.listen as string[])[0] as string;
const statusOf = async (url: string): Promise<number> => (await fetch(url, { headers: { connection: 'close' } })).status;

async function internalErrors(admin: unknown): Promise<Record<string, number>> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  const found = [...text.matchAll(/^pullproxy_internal_errors_total\{where="(\w+)"\} ([1-9]\d*)$/gm)];
  return Object.fromEntries(found.map(([, where, count]) => [where, Number(count)]));
}

async function startLinked(
  app: ScriptedApp,
  nodeArgs: readonly string[] = [],
  env = {},
): Promise<{ node: Running; linker: Running; url: string }> {
  const node = await startProcess([...NODE, ...nodeArgs], { env });
  const linker = await startProcess(
    ['linker', '--proxy', String(node.ready.backend), '--route', '*', '--concurrency', '4', '--app', `127.0.0.1:${app.port}`],
    { env },
  );
  return { node, linker, url: urlOf(node.ready) };
}

describe('signals', () => {
  test('that mean nothing end no node that starts', async () => {
    // Nobody listens there: it starts without the directory, after a while.
    const node = spawn(process.execPath, [MAIN, ...NODE, '--redis', 'redis://127.0.0.1:1'], { cwd: ownDirectory() });
    const exit = once(node, 'exit');
    let text = '';
    node.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await eventually('it waits for Redis', () => text.includes('Redis connection failed'), 20_000);
    for (const signal of MEANINGLESS) node.kill(signal);
    await eventually('it has heard the last one', () =>
      text.includes('"signal":"SIGUSR2","msg":"a signal without a meaning here was ignored"'),
    );
    expect(text).not.toContain('"msg":"ready"');
    await eventually('it is ready', () => text.includes('"msg":"ready"'), 20_000);
    node.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  test('that mean nothing end no node that serves or drains', async () => {
    const node = await startProcess(NODE);
    for (const signal of MEANINGLESS) node.kill(signal);
    await node.logged(({ msg, signal }) => msg === 'a signal without a meaning here was ignored' && signal === 'SIGUSR2');
    expect(await statusOf(urlOf(node.ready))).toBe(404);
    node.kill('SIGTTOU');
    node.kill('SIGCONT');
    expect(await statusOf(urlOf(node.ready))).toBe(404);
    expect(node.text()).not.toContain('Debugger listening');
    // A client that has sent half a head keeps it draining.
    const client = connect(Number(new URL(urlOf(node.ready)).port), '127.0.0.1');
    sockets.push(client);
    await once(client, 'connect');
    client.write('GET / HTTP/1.1\r\n');
    await statusOf(urlOf(node.ready));
    node.kill('SIGTERM');
    await node.logged(({ msg }) => msg === 'node draining');
    for (const signal of MEANINGLESS) node.kill(signal);
    await node.logged(({ msg }) => msg === 'nothing is reloaded: this process leaves');
    node.kill('SIGTERM');
    const { code } = await node.exit;
    // At once with the second one, or in order if it was quicker.
    expect([0, 143]).toContain(code);
  });

  test('that ask to leave make a node drain and end with 0', async () => {
    const exits = await Promise.all(
      (['SIGQUIT', 'SIGINT', 'SIGTERM'] as const).map(async (signal) => {
        const node = await startProcess(NODE);
        node.kill(signal);
        return node.exit;
      }),
    );
    expect(exits).toEqual(Array.from({ length: 3 }, () => ({ code: 0, signal: null })));
  });

  test('end no linker, no scaler and no dev', async () => {
    const redis = await startRedis();
    const app = await ScriptedApp.serving(() => ok('fine'));
    const { node, linker } = await startLinked(app);
    const [scaler, dev] = await Promise.all([
      startProcess(['scaler', '--redis', redis.url, '--', 'true']),
      startProcess([
        ...['dev', '--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'],
        ...['--', process.execPath, '-e', "require('http').createServer((q, s) => s.end('fine')).listen(process.env.PORT)"],
      ]),
    ]);
    for (const process of [linker, scaler, dev]) {
      for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGWINCH'] as const) process.kill(signal);
      await process.logged(({ msg, signal }) => msg === 'a signal without a meaning here was ignored' && signal === 'SIGUSR2');
      expect(process.text()).not.toContain('Debugger listening');
    }
    expect(await statusOf(urlOf(node.ready))).toBe(200);
    expect(await statusOf(urlOf(dev.ready))).toBe(200);
    // The terminal is gone: what it has started ends with it.
    dev.kill('SIGHUP');
    expect((await dev.exit).code).toBe(0);
    expect((await scaler.stop()).code).toBe(0);
    expect((await linker.stop()).code).toBe(0);
    await redis.stop();
  });
});

describe('the log', () => {
  test.each([
    ['a disk that is full', 'exec "$@" > /dev/full'],
    ['a reader that is gone', 'exec 3>&1; "$@" | true; wait'],
    ['a reader that does not read', '"$@" | sleep 60'],
  ])('%s neither stops a node nor keeps it from ending', async (what, script) => {
    const directory = mkdtempSync(join(ownDirectory(), 'log-'));
    const port = await freePort();
    const listen = ['node', '--listen', `http://127.0.0.1:${port}`, '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const args = ['-c', script, 'sh', process.execPath, MAIN, ...listen, '--access-log', 'stdout'];
    const shell = spawn('sh', args, { cwd: directory, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(shell, 'exit');
    const url = `http://127.0.0.1:${port}/`;
    await eventually(
      'it serves',
      () =>
        statusOf(url).then(
          (status) => status === 404,
          () => false,
        ),
      20_000,
    );
    // More than a pipe holds.
    const lines = what.includes('reader') ? 80 : 10;
    for (let i = 0; i < lines; i++) expect(await statusOf(`${url}${'x'.repeat(1_000)}`)).toBe(404);
    const pid = pidOf(directory);
    process.kill(pid, 'SIGTERM');
    await eventually('the node has ended', () => !isAlive(pid), 15_000);
    try {
      process.kill(-(shell.pid as number), 'SIGKILL');
    } catch {
      // Nothing of it is left.
    }
    await ended;
  });
});

describe('descriptors', () => {
  test('that are used up end neither node nor linker, and both recover', async () => {
    const app = await ScriptedApp.serving(() => ok('fine'));
    // A client that finds the linker without descriptors must not be held for longer.
    const { node, linker, url } = await startLinked(app, ['--hold-timeout', '1s']);
    expect(await statusOf(url)).toBe(200);
    const inUse = (pid: number): number => Number(execFileSync('sh', ['-c', `ls /proc/${pid}/fd | wc -l`], { encoding: 'utf8' }));
    for (const { pid } of [node, linker]) execFileSync('prlimit', ['--pid', String(pid), `--nofile=${inUse(pid) + 8}:1024`]);
    const { port } = new URL(url);
    for (let i = 0; i < 100; i++) sockets.push(connect(Number(port), '127.0.0.1').on('error', () => {}));
    // The kernel lets them in; the node can't take them, and closes what it can.
    await eventually('some were turned away', () => sockets.some(({ destroyed }) => destroyed), 20_000);
    for (const socket of sockets.splice(0)) socket.destroy();
    await eventually(
      'it serves again',
      () =>
        statusOf(url).then(
          (status) => status === 200,
          () => false,
        ),
      20_000,
    );
    execFileSync('prlimit', ['--pid', String(linker.pid), `--nofile=${inUse(linker.pid)}:1024`]);
    const answers = await Promise.all(Array.from({ length: 4 }, () => statusOf(url).catch(() => 0)));
    expect(answers.every((status) => [0, 200, 502, 503].includes(status))).toBe(true);
    execFileSync('prlimit', ['--pid', String(linker.pid), '--nofile=512:1024']);
    await eventually(
      'it serves again',
      () =>
        statusOf(url).then(
          (status) => status === 200,
          () => false,
        ),
      30_000,
    );
    expect(await internalErrors(node.ready.admin)).toEqual({});
    expect((await linker.stop()).code).toBe(0);
    expect((await node.stop()).code).toBe(0);
  });

  test('that are used up fail a scaler’s command, and the next one runs', async () => {
    const redis = await startRedis();
    const scaler = await startProcess(['scaler', '--redis', redis.url, '--admin', '127.0.0.1:0', '--', process.execPath, '-e', '']);
    const node = await startProcess([...NODE, '--redis', redis.url]);
    const inUse = Number(execFileSync('sh', ['-c', `ls /proc/${scaler.pid}/fd | wc -l`], { encoding: 'utf8' }));
    execFileSync('prlimit', ['--pid', String(scaler.pid), `--nofile=${inUse}:1024`]);
    const put = await fetch(`http://${node.ready.admin}/api/v1/routes/app.test`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{"minInstances":1}',
    });
    expect(put.status).toBe(200);
    await scaler.logged(({ msg }) => /could not be run|could not be started|EMFILE|too many/i.test(String(msg)), 30_000);
    execFileSync('prlimit', ['--pid', String(scaler.pid), '--nofile=512:1024']);
    await scaler.logged(({ msg }) => msg === 'startup command finished', 60_000);
    expect(await internalErrors(scaler.ready.admin)).toEqual({});
    expect((await scaler.stop()).code).toBe(0);
    await node.stop();
    await redis.stop();
  });
});

describe('a clock', () => {
  test('that jumps by an hour, forth and back, is noticed by no client', async () => {
    const file = join(mkdtempSync(join(ownDirectory(), 'clock-')), 'offset');
    writeFileSync(file, '+0');
    const env = {
      LD_PRELOAD: execFileSync('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1'], { encoding: 'utf8' }).trim(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
    const redis: RedisServer = await startRedis();
    const gate = Promise.withResolvers<void>();
    const app = await ScriptedApp.listen(async (connection) => {
      for (;;) {
        if ((await connection.request()).startLine.includes('/park')) await gate.promise;
        connection.send(ok('fine'));
      }
    });
    const { node, linker, url } = await startLinked(app, ['--redis', redis.url], env);
    const scaler = await startProcess(['scaler', '--redis', redis.url, '--', 'true'], { env });
    const parked = statusOf(`${url}/park`);
    const state = async (): Promise<{ at: number; nodes: { heartbeatAgeMs: number }[] }> =>
      (await (await fetch(`http://${node.ready.admin}/api/v1/state`)).json()) as { at: number; nodes: { heartbeatAgeMs: number }[] };
    for (const offset of [3_600, 0, -3_600, 0]) {
      writeFileSync(file, offset < 0 ? String(offset) : `+${offset}`);
      await eventually('its clock has jumped', async () => Math.abs((await state()).at - Date.now() - offset * 1_000) < 60_000);
      for (let i = 0; i < 5; i++) expect(await statusOf(url)).toBe(200);
      await eventually('it beats', async () => ((await state()).nodes[0]?.heartbeatAgeMs ?? Number.POSITIVE_INFINITY) < 1_500);
    }
    gate.resolve();
    expect(await parked).toBe(200);
    expect(node.logs.filter(({ msg }) => msg === 'linker gone')).toEqual([]);
    for (const one of [linker, scaler, node]) expect((await one.stop()).code).toBe(0);
    await redis.stop();
  });
});

describe('a fault that nobody foresaw', () => {
  const preload = (code: string): Record<string, string> => ({ NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` });

  test('ends a node in order, with code 70: who is being served is served', async () => {
    const gate = Promise.withResolvers<void>();
    const app = await ScriptedApp.listen(async (connection) => {
      for (;;) {
        await connection.request();
        await gate.promise;
        connection.send(ok('fine'));
      }
    });
    const fault = "process.on('SIGUSR2', () => setImmediate(() => { throw new Error('nobody foresaw this'); }))";
    const node = await startProcess(NODE, { env: preload(fault) });
    await startProcess(['linker', '--proxy', String(node.ready.backend), '--route', '*', '--app', `127.0.0.1:${app.port}`]);
    const served = statusOf(urlOf(node.ready));
    await eventually('it is at the application', () => app.connections.some(({ receivedBytes }) => receivedBytes > 0));
    node.kill('SIGUSR2');
    await node.logged(({ msg, exitCode }) => msg === 'the process ends because of an internal error' && exitCode === 70);
    await node.logged(({ where, err }) => where === 'unknown' && String((err as { stack: string }).stack).includes('nobody foresaw this'));
    gate.resolve();
    expect(await served).toBe(200);
    expect(await node.exit).toEqual({ code: 70, signal: null });
  });

  test('in a promise that nobody waits for is counted, and the node serves on', async () => {
    const node = await startProcess(NODE, { env: preload("process.on('SIGUSR2', () => void Promise.reject(new Error('nobody waits')))") });
    node.kill('SIGUSR2');
    await node.logged(({ where }) => where === 'unknown');
    expect(await internalErrors(node.ready.admin)).toEqual({ unknown: 1 });
    const { troubles } = (await (await fetch(`http://${node.ready.admin}/api/v1/state`)).json()) as { troubles: { code: string }[] };
    expect(troubles.map(({ code }) => code)).toContain('internal_error');
    expect(await statusOf(urlOf(node.ready))).toBe(404);
    expect((await node.stop()).code).toBe(0);
  });

  test('ends a linker and a scaler in order, with code 70', async () => {
    const redis = await startRedis();
    const app = await ScriptedApp.serving(() => ok('fine'));
    const node = await startProcess(NODE);
    const fault = "process.on('SIGUSR2', () => setImmediate(() => { throw new Error('nobody foresaw this'); }))";
    const commands = [
      ['scaler', '--redis', redis.url, '--', 'true'],
      ['linker', '--proxy', String(node.ready.backend), '--route', '*', '--app', `127.0.0.1:${app.port}`],
    ];
    const exits = await Promise.all(
      commands.map(async (command) => {
        const victim = await startProcess(command, { env: preload(fault) });
        victim.kill('SIGUSR2');
        return victim.exit;
      }),
    );
    expect(exits).toEqual([70, 70].map((code) => ({ code, signal: null })));
    await redis.stop();
  });

  test('ends one worker, whose place is taken by another', async () => {
    const fault =
      "if (process.argv[2] === 'worker') process.on('SIGUSR2', () => setImmediate(() => { throw new Error('nobody foresaw this'); }))";
    const redis = await startRedis();
    const supervisor = await startProcess([...NODE, '--workers', '2', '--redis', redis.url], { env: preload(fault) });
    const ready = (): LogLine[] => supervisor.logs.filter(({ msg }) => msg === 'worker ready');
    process.kill(Number(ready()[0]?.pid), 'SIGUSR2');
    await supervisor.logged(({ msg, code }) => msg === 'a worker has died: another one takes its place' && code === 70, 30_000);
    await eventually('another one is there', () => ready().length === 3, 20_000);
    expect(await statusOf(urlOf(supervisor.ready))).toBe(404);
    expect((await supervisor.stop()).code).toBe(0);
    await redis.stop();
  });
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The node that runs in this directory. */
function pidOf(directory: string): number {
  const script = `for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = "${directory}" ] && [ "$(readlink $p/exe)" = "${process.execPath}" ] && basename $p; done`;
  return Number(execFileSync('sh', ['-c', `${script} | head -1`], { encoding: 'utf8' }).trim());
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
