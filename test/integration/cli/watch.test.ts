/** `status` on a terminal, and not on one. util-linux' `script` makes the terminal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.ts';
import { runCommand } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const OWN_SCREEN = '\x1b[?1049h';
const GIVE_BACK = '\x1b[?1049l';
const COLUMNS = 62;
const ROWS = 14;

let redis: RedisServer;
const children: ChildProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
  const client = new Redis(redis.url);
  for (let i = 0; i < 20; i++) await client.hset('pp:routes', `r${i}.example.com`, '{}');
  client.disconnect();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await redis?.stop();
});

interface Terminal {
  readonly type: (keys: string) => void;
  readonly exit: Promise<unknown[]>;
  readonly shown: () => string;
}

function onTerminal(...args: string[]): Terminal {
  const line = ['exec', process.execPath, MAIN, ...args, '--redis', redis.url]
    .map((word) => `'${word}'`)
    .join(' ')
    .replace("'exec'", 'exec');
  const child = spawn('script', ['-qec', `stty rows ${ROWS} cols ${COLUMNS}; ${line}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, TERM: 'xterm-256color', SHELL: '/bin/sh' },
  });
  children.push(child);
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
  });
  return { type: (keys) => child.stdin.write(keys), exit: once(child, 'exit'), shown: () => shown };
}

/** The lines of the last whole picture, without what a terminal does not show. */
function picture(shown: string): string[] {
  const frames = shown.split('\x1b[H');
  return stripVTControlCharacters(frames.at(-2) ?? '')
    .split(/\r?\n/)
    .slice(0, -1);
}

describe('status --watch on a terminal', () => {
  test('draws on a screen of its own, within its bounds, and gives it back when q is pressed', async () => {
    const terminal = onTerminal('status', '--watch');
    await eventually('it has drawn twice', () => terminal.shown().split('\x1b[H').length > 3, 20_000);
    expect(terminal.shown().startsWith(OWN_SCREEN)).toBe(true);
    const lines = picture(terminal.shown());
    expect(lines[0]).toMatch(/^pullproxy at \d\d:\d\d:\d\d, q quits$/);
    expect(lines.length).toBeLessThan(ROWS);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
    expect(lines.join('\n')).toMatch(/Routes\n +ROUTE.*\n +r0\.example\.com/);
    expect(lines.at(-1)).toMatch(/^… \d+ more lines$/);
    terminal.type('q');
    expect(await terminal.exit).toEqual([0, null]);
    expect(terminal.shown().endsWith(`\x1b[?25h${GIVE_BACK}`)).toBe(true);
  });

  test('goes on when Redis stops, says so, and ends with Ctrl-C', async () => {
    const terminal = onTerminal('status', '--watch');
    await eventually('it has drawn', () => terminal.shown().includes('r0.example.com'), 20_000);
    await redis.pause();
    await eventually('it says so', () => /Redis does not answer\. This is the state at \d\d:\d\d:\d\d\./.test(terminal.shown()), 20_000);
    await redis.resume();
    await eventually('it is back', () => /pullproxy at/.test(picture(terminal.shown())[0] ?? ''), 20_000);
    terminal.type('\x03');
    expect(await terminal.exit).toEqual([0, null]);
    expect(terminal.shown().endsWith(GIVE_BACK)).toBe(true);
  });
});

test('status has colours on a terminal only', async () => {
  const terminal = onTerminal('status');
  await terminal.exit;
  expect(terminal.shown()).toContain('\x1b[1mRoutes\x1b[22m');
  const { stdout } = await runCommand(['status', '--redis', redis.url]);
  expect(stdout).toContain('\nRoutes\n');
  expect(stdout).not.toContain('\x1b');
});
