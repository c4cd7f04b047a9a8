import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { runCommand } from '../../../src/scaling/command.ts';
import { FILE_BYTES_MAX, IDLE_FILES_MAX, IDLE_LIVES_MS, KEPT_BYTES, OutputFiles } from '../../../src/scaling/output-files.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory } from '../../support/processes.ts';

const log = pino({ level: 'silent' });
const values = { route: 'r', startId: 's1', desired: 1, count: 1, held: 0, ready: 0 };
const env = { PATH: process.env.PATH ?? '' };

const open: OutputFiles[] = [];
afterEach(() => {
  for (const files of open.splice(0)) files.close();
});

function files(directory = join(ownDirectory(), 'output')): { directory: string; outputs: OutputFiles; names: () => string[] } {
  const outputs = new OutputFiles(directory, log);
  open.push(outputs);
  return { directory, outputs, names: () => readdirSync(directory).sort() };
}

describe('the output of a command', () => {
  test('goes to a file of its own, which only its user reads, and its end is known when the command has ended', async () => {
    const { directory, outputs, names } = files();
    const outputFile = outputs.open('s1');
    const script = 'for n in 1 2 3; do echo "line $n"; done; echo oops >&2; exit 3';
    const result = await runCommand(['sh', '-c', script], values, { timeoutMs: 5_000, env, outputBytesMax: 14, outputFile });
    outputFile?.close();
    expect(result).toMatchObject({ exitCode: 3, output: 'line 3\noops' });
    expect(names()).toEqual(['s1.log']);
    expect(readFileSync(join(directory, 's1.log'), 'utf8')).toBe('line 1\nline 2\nline 3\noops\n');
    expect(statSync(join(directory, 's1.log')).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  test('has a name that ids can not lead astray, and never another run’s file', () => {
    const { outputs, names } = files();
    for (const name of ['../../etc/x', 's1', 's1']) outputs.open(name)?.close();
    expect(names()).toEqual(['______etc_x.log', 's1-1.log', 's1.log']);
  });
});

test('a directory that is a link, a file or another user’s is not used', () => {
  const directory = ownDirectory();
  symlinkSync(directory, join(directory, 'link'));
  writeFileSync(join(directory, 'file'), '');
  expect(() => files(join(directory, 'link'))).toThrow('not a directory');
  expect(() => files(join(directory, 'file'))).toThrow();
  expect(() => files(join(directory, 'missing', 'parent'))).toThrow('ENOENT');
  expect(() => files('/proc/pullproxy-output')).toThrow();
  if (process.getuid?.() !== 0) expect(() => files('/root/pullproxy-output')).toThrow();
});

test('a file that grows too large keeps its end, and whoever writes to it goes on', async () => {
  const { directory, names } = files();
  const path = join(directory, 'left-by-another.log');
  const writer = spawn(
    'sh',
    ['-c', `exec >>${path}; yes 'a line that says little' | head -c ${2 * FILE_BYTES_MAX}; read go; echo; echo more`],
    { stdio: ['pipe', 'ignore', 'ignore'] },
  );
  await eventually('it was cut short', () => names().length === 1 && statSync(path).size > 0 && statSync(path).size <= KEPT_BYTES);
  writer.stdin.end('go\n');
  await once(writer, 'exit');
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\nmore\n')).toBe(true);
  expect(text.startsWith('a line that says little\n')).toBe(true);
});

test('files that nobody writes to any more are removed after an hour, or when they are too many; those in use stay', async () => {
  const directory = join(ownDirectory(), 'output');
  mkdirSync(directory, { mode: 0o700 });
  const old = Date.now() / 1_000 - IDLE_LIVES_MS / 1_000 - 1;
  const write = (name: string, at: number): void => {
    writeFileSync(join(directory, name), name);
    utimesSync(join(directory, name), at, at);
  };
  write('old.log', old);
  write('used.log', old);
  write('not-ours.txt', old);
  const recent = Date.now() / 1_000 - 60;
  for (let n = 0; n < IDLE_FILES_MAX + 5; n++) write(`recent${n}.log`, recent - n);
  const writer = spawn('sh', ['-c', `exec 2>>${join(directory, 'used.log')}; echo up; read go`], { stdio: ['pipe', 'pipe', 'ignore'] });
  await once(writer.stdout, 'data');
  appendFileSync(join(directory, 'used.log'), '');
  utimesSync(join(directory, 'used.log'), old, old);
  const { names } = files(directory);
  await eventually('they are gone', () => !names().includes('old.log') && names().length === IDLE_FILES_MAX + 2);
  expect(names()).toContain('used.log');
  expect(names()).toContain('not-ours.txt');
  expect(names()).toContain('recent0.log');
  expect(names()).not.toContain(`recent${IDLE_FILES_MAX}.log`);
  writer.stdin.end('go\n');
  await once(writer, 'exit');
  chmodSync(directory, 0o700);
});
