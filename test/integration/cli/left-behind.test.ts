/** However a linker or `dev` ends, nothing of the application is left. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { linkerArgs, SECRET, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory, startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';

const DEV = ['dev', '--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
/** Writes down itself, a child of its own and one in a session of its own (setsid); /slow never ends. */
const APP = `const { appendFileSync } = require('node:fs');
const { spawn } = require('node:child_process');
const child = spawn('sleep', ['1000']);
const apart = spawn('sh', ['-c', 'sleep 1000; exit'], { detached: true, stdio: 'ignore' });
appendFileSync(process.argv[1], [process.pid, child.pid, apart.pid, ''].join('\\n'));
require('node:http').createServer((q, r) => q.url === '/slow' ? r.write('.') : r.end('ok')).listen(process.env.PORT, '127.0.0.1');`;

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

interface App {
  readonly command: string[];
  /** Processes of it that were started. */
  pids(): number[];
  left(): number[];
}

function application(): App {
  const file = join(ownDirectory(), 'pids');
  const pids = (): number[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : []);
  return { command: [process.execPath, '-e', APP, file], pids, left: () => pids().filter(lives) };
}

/** A zombie that nobody has collected is dead. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const gone = (app: App): Promise<void> =>
  eventually('all of the application is gone', () => app.pids().length === 3 && app.left().length === 0, 60_000);

function guardsOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const guards = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('pullproxy-guard');
        return guards && stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parent);
      } catch {
        return false;
      }
    })
    .map(Number);
}

describe('a linker that is killed', () => {
  const route = 'app.example.com';
  async function startLinker(app: App) {
    const node = await startNode(null);
    const args = linkerArgs({ proxies: [node.backend], route, concurrency: 2, app: app.command });
    const linker = await startProcess(args, { env: { PULLPROXY_SECRET: SECRET } });
    return { node, linker };
  }

  test('takes its application along, with what that has started', async () => {
    const app = application();
    const { linker, node } = await startLinker(app);
    expect(app.left()).toHaveLength(3);
    linker.kill('SIGKILL');
    await gone(app);
    await node.stop();
  });

  test('takes its application along when its guard was killed before', async () => {
    const app = application();
    const { linker, node } = await startLinker(app);
    const [first = 0] = guardsOf(linker.pid);
    process.kill(first, 'SIGKILL');
    await eventually('there is another guard', () => guardsOf(linker.pid).some((pid) => pid !== first && lives(pid)));
    linker.kill('SIGKILL');
    await gone(app);
    await node.stop();
  });

  test('leaves no guard behind when it ends in order', async () => {
    const app = application();
    const { linker, node } = await startLinker(app);
    const guards = guardsOf(linker.pid);
    expect(guards).toHaveLength(1);
    expect(await linker.stop()).toEqual({ code: 0, signal: null });
    await gone(app);
    await eventually('the guard is gone', () => !guards.some(lives));
    await node.stop();
  });
});

describe('dev', () => {
  async function startDev(app: App, ...args: string[]) {
    const dev = await startProcess([...DEV, '--max-instances', '1', ...args, '--', ...app.command]);
    const url = (dev.ready.listen as string[])[0] ?? '';
    expect(await (await fetch(url)).text()).toBe('ok');
    expect(app.left()).toHaveLength(3);
    return { dev, url };
  }

  test('takes its applications along when its terminal is closed', async () => {
    const app = application();
    const { dev } = await startDev(app);
    dev.kill('SIGHUP');
    expect(await dev.exit).toEqual({ code: 0, signal: null });
    expect(app.left()).toEqual([]);
  });

  test('takes its applications along when it is killed', async () => {
    const app = application();
    const { dev } = await startDev(app);
    dev.kill('SIGKILL');
    await gone(app);
  });

  test('takes its applications along when its parent is killed, as npm and the shell between may be', async () => {
    const app = application();
    const script = 'node "$@" >&2; true';
    const shell = spawn('sh', ['-c', script, 'sh', MAIN, ...DEV, '--', ...app.command], {
      cwd: ownDirectory(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    started.push(shell);
    let text = '';
    shell.stderr.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const urlOf = (): string | undefined => /Your application: +(\S+)/.exec(text)?.[1];
    await eventually('it is ready', () => urlOf() !== undefined, 60_000);
    expect(await (await fetch(urlOf() ?? '')).text()).toBe('ok');
    shell.kill('SIGKILL');
    await gone(app);
    await eventually('it says why', () => text.includes('the process that started this one has ended'), 60_000);
  });

  test.each<NodeJS.Signals>(['SIGTERM', 'SIGKILL'])('and when npm gets %s, which has a shell between', async (signal) => {
    const app = application();
    const cwd = ownDirectory();
    writeFileSync(join(cwd, 'app.cjs'), APP.replace('process.argv[1]', JSON.stringify(app.command[3])));
    const start = `node ${MAIN} ${DEV.join(' ')} -- node app.cjs; true`;
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name: 'an-app', version: '1.0.0', scripts: { start } }));
    const npm = spawn('npm', ['start'], { cwd, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    started.push(npm);
    let text = '';
    npm.stderr.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const urlOf = (): string | undefined => /Your application: +(\S+)/.exec(text)?.[1];
    await eventually('it is ready', () => urlOf() !== undefined, 60_000);
    expect(await (await fetch(urlOf() ?? '')).text()).toBe('ok');
    npm.kill(signal);
    await gone(app);
  });

  test('says for whom it waits at the first Ctrl-C, and ends at once at the second', async () => {
    const app = application();
    const { dev, url } = await startDev(app, '--drain-timeout', '10m');
    const slow = await fetch(`${url}/slow`);
    dev.kill('SIGINT');
    await eventually('it says so', () => dev.text().includes('pullproxy leaves (SIGINT)'));
    expect(dev.text()).toContain(
      'It waits for 1 request in progress, 600 s at most. 1 instance of the application is told to end, and killed after 10 s. Ctrl-C again ends all at once.',
    );
    expect(app.left()).toHaveLength(3);
    dev.kill('SIGINT');
    expect(await dev.exit).toEqual({ code: 130, signal: null });
    expect(app.left()).toEqual([]);
    await slow.body?.cancel().catch(() => {});
  });

  test.each([
    ['with a session of its own', 'setsid sleep 1000 & echo $! >>"$0"; exit 0'],
    ['in the same group', 'sleep 1000 & echo $! >>"$0"; exit 0'],
  ])('starts an application that goes to the background (%s) once, says so, ends it and itself', async (_how, script) => {
    const file = join(ownDirectory(), 'pids');
    const dev = await startProcess([...DEV, '--', 'sh', '-c', script, file]);
    const answer = fetch((dev.ready.listen as string[])[0] ?? '').then(
      ({ status }) => status,
      () => 'closed',
    );
    expect(await dev.exit).toEqual({ code: 1, signal: null });
    expect([503, 'closed']).toContain(await answer);
    const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number);
    expect(pids).toHaveLength(1);
    expect(pids.filter(lives)).toEqual([]);
    expect(dev.text()).toMatch(/^pullproxy dev: the application has gone to the background: .* process \d+ runs on\. .*foreground/m);
  });
});

const MAY_UNSHARE = process.getuid?.() === 0;

(MAY_UNSHARE ? test : test.skip)(
  'as the first process of a container it leaves no zombies, drains on SIGTERM and ends with 0',
  async () => {
    const node = await startNode(null);
    const orphans = `for (let n = 0; n < 20; n++) require('node:child_process').spawn('sh', ['-c', 'sleep 0.2 & exit 0'], { stdio: 'ignore' });
    require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT, '127.0.0.1');`;
    const linker = linkerArgs({
      proxies: [node.backend],
      route: 'app.example.com',
      concurrency: 1,
      app: [process.execPath, '-e', orphans],
    });
    const container = spawn('unshare', ['--pid', '--fork', '--mount-proc', process.execPath, MAIN, ...linker], {
      cwd: ownDirectory(),
      env: { PATH: process.env.PATH, PULLPROXY_SECRET: SECRET },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(container);
    let text = '';
    container.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await eventually('it is ready', () => text.includes('"msg":"ready"'), 60_000);
    const [first = ''] = execFileSync('pgrep', ['-P', String(container.pid)], { encoding: 'utf8' }).split('\n');
    const states = (): string[] =>
      execFileSync('nsenter', ['-t', first, '-p', '-m', 'ps', '-eo', 'stat='], { encoding: 'utf8' }).split('\n');
    const sleeping = (): number =>
      Number(execFileSync('nsenter', ['-t', first, '-p', '-m', 'sh', '-c', 'ps -eo comm= | grep -c sleep || true'], { encoding: 'utf8' }));
    await eventually('the orphans have ended', () => sleeping() === 0);
    expect(states().filter((state) => state.startsWith('Z'))).toEqual([]);
    process.kill(Number(first), 'SIGTERM');
    expect(await once(container, 'exit')).toEqual([0, null]);
    await node.stop();
  },
);
