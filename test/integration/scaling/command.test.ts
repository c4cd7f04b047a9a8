import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CommandLimits, type CommandResult, type CommandValues, runCommand } from '../../../src/scaling/command.ts';
import { eventually } from '../../support/eventually.ts';

const VALUES: CommandValues = { route: 'app.example.com', startId: 'k3f9x2', desired: 5, count: 2, held: 41, ready: 3 };
const LIMITS: CommandLimits = { timeoutMs: 60_000, env: { PATH: process.env.PATH ?? '' }, outputBytesMax: 4_096 };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-command-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(argv: readonly string[], limits: Partial<CommandLimits> = {}, values: CommandValues = VALUES): Promise<CommandResult> {
  return runCommand(argv, values, { ...LIMITS, ...limits });
}

/** Runs a script of node's, whose arguments begin at process.argv[1]. */
function runScript(script: string, args: readonly string[] = [], limits: Partial<CommandLimits> = {}): Promise<CommandResult> {
  return run([process.execPath, '-e', script, ...args], limits);
}

const alive = (pid: number): boolean => {
  try {
    // A zombie whose parent has not collected it yet still takes signals.
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

describe('arguments', () => {
  const PRINT = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
  const printed = async (args: readonly string[], values?: Partial<CommandValues>): Promise<unknown> =>
    JSON.parse((await run([process.execPath, '-e', PRINT, ...args], {}, { ...VALUES, ...values })).output);

  test('the known placeholders are replaced, also several times and inside a word', async () => {
    expect(await printed(['app-{start_id}', '{route}/{route}', '{desired}:{count}'])).toEqual([
      'app-k3f9x2',
      'app.example.com/app.example.com',
      '5:2',
    ]);
  });

  test('unknown placeholders and braces stay as they are', async () => {
    const args = ['{held}', '{"route":{"a":1}}', '{ route }', '{}', '{start-id}', '{Route}'];
    expect(await printed(args)).toEqual(args);
  });

  test('a value that looks like a placeholder is not replaced again', async () => {
    expect(await printed(['{route}'], { route: '{count}' })).toEqual(['{count}']);
  });

  test('no shell reads them', async () => {
    const marker = join(folder, 'shell-was-here');
    const args = [`$(touch ${marker})`, `; touch ${marker}`, '`id`', '*', '$PATH', ''];
    expect(await printed(args)).toEqual(args);
    expect(await printed(['{route}'], { route: `x; touch ${marker}` })).toEqual([`x; touch ${marker}`]);
    expect(existsSync(marker)).toBe(false);
  });
});

describe('environment', () => {
  test('has the values of the start and what it was given, and nothing of ours', async () => {
    process.env.PULLPROXY_SECRET = 'must not leak';
    const result = await runScript('process.stdout.write(JSON.stringify(process.env))', [], {
      env: { PATH: '/usr/bin', DOCKER_HOST: 'tcp://docker:1' },
    });
    delete process.env.PULLPROXY_SECRET;
    expect(JSON.parse(result.output)).toEqual({
      PATH: '/usr/bin',
      DOCKER_HOST: 'tcp://docker:1',
      ROUTE: 'app.example.com',
      SLUG: expect.stringMatching(/^app-example-com-[a-z0-9]+$/),
      START_ID: 'k3f9x2',
      PULLPROXY_START_ID: 'k3f9x2',
      DESIRED: '5',
      COUNT: '2',
      HELD: '41',
      READY: '3',
    });
  });
});

describe('results', () => {
  test('exit 0 is no failure', async () => {
    const result = await runScript('console.log("done")');
    expect(result).toMatchObject({ exitCode: 0, signal: null, timedOut: false, output: 'done', failure: null });
    expect(result.durationMs).toBeGreaterThan(0);
  });

  test('another exit code is a failure that tells it, with what the command had to say', async () => {
    const result = await runScript('console.log("pulling"); console.error("no such image"); process.exit(3)');
    expect(result).toMatchObject({ exitCode: 3, failure: `startup command "${process.execPath}" exited with 3` });
    expect(result.output.split('\n').sort()).toEqual(['no such image', 'pulling']);
  });

  test('a command that ends by a signal is a failure', async () => {
    expect(await runScript('process.kill(process.pid, "SIGKILL")')).toMatchObject({
      exitCode: null,
      signal: 'SIGKILL',
      timedOut: false,
      failure: expect.stringContaining('SIGKILL'),
    });
  });

  test('a command that is not there is a failure that names it', async () => {
    const result = await run(['no-such-command-here', 'x']);
    expect(result).toMatchObject({
      exitCode: null,
      signal: null,
      timedOut: false,
      failure: expect.stringContaining('"no-such-command-here" was not found'),
    });
  });

  test('a file that is not executable is a failure that names it', async () => {
    const file = join(folder, 'plain.txt');
    writeFileSync(file, 'text');
    expect((await run([file])).failure).toContain(`"${file}" could not be run: it is not executable`);
  });

  test.each([[[]], [['']], [['a\0b']]])('arguments that no kernel takes are a failure: %j', async (argv) => {
    expect((await run(argv)).failure).toContain('could not be run');
  });

  test('of much output the last lines are kept, whole ones, within the bound', async () => {
    const script = 'for (let i = 0; i < 100000; i++) console.log("line " + i)';
    const { output } = await runScript(script, [], { outputBytesMax: 1_000 });
    expect(output).toMatch(/^line \d+\n/);
    expect(output).toMatch(/\nline 99999$/);
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(1_000);
    expect(Buffer.byteLength(output)).toBeGreaterThan(900);
  });
});

describe('a command that hangs', () => {
  test('is ended after its timeout', async () => {
    const result = await runScript('setInterval(() => {}, 1000)', [], { timeoutMs: 300 });
    expect(result).toMatchObject({
      exitCode: null,
      signal: 'SIGTERM',
      timedOut: true,
      failure: expect.stringContaining('did not end within 300 ms'),
    });
    expect(result.durationMs).toBeGreaterThanOrEqual(290);
    expect(result.durationMs).toBeLessThan(60_000);
  });

  test('takes along what it has started', async () => {
    const result = await run(['/bin/sh', '-c', 'sleep 100 & echo $!; wait'], { timeoutMs: 300 });
    const child = Number(result.output);
    expect(child).toBeGreaterThan(1);
    await eventually('its child is gone', () => !alive(child));
  });

  test('is killed when it does not listen to SIGTERM', async () => {
    const result = await run(['/bin/sh', '-c', 'trap "" TERM; echo deaf; sleep 100'], { timeoutMs: 2_000 });
    expect(result).toMatchObject({ signal: 'SIGKILL', timedOut: true, output: 'deaf' });
  });

  test('is ended when its signal says so', async () => {
    const abort = new AbortController();
    const result = runScript('setInterval(() => {}, 1000)', [], { signal: abort.signal });
    abort.abort();
    expect(await result).toMatchObject({ exitCode: null, timedOut: false, failure: expect.stringContaining('was stopped') });
  });
});

test('a child that stays in the background is neither waited for nor hurt, though it holds the output open', async () => {
  const file = join(folder, 'background');
  const script = `(sleep 0.4; echo one; echo two; echo alive > ${file}; sleep 100) & echo $!`;
  const result = await run(['/bin/sh', '-c', script]);
  const child = Number(result.output);
  try {
    expect(result.failure).toBeNull();
    await eventually('the child has written', () => existsSync(file));
    expect(alive(child)).toBe(true);
  } finally {
    process.kill(child, 'SIGKILL');
  }
});
