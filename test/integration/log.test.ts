/** The file that the access log is written to. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openLineFile } from '../../src/log.ts';
import { eventually } from '../support/eventually.ts';

const BUFFER_BYTES = 4 * 1_048_576;
let folder: string;
const troubles: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lines-'));
  troubles.length = 0;
});

afterEach(() => rmSync(folder, { recursive: true }));

function open(path: string) {
  return openLineFile({ path }, (error) => troubles.push(error.message));
}

test('lines are appended in order, whole, without waiting for more, and the last ones at its end', async () => {
  const path = join(folder, 'access.log');
  const before = open(path);
  before.write('first\n');
  await eventually('it is written', () => readFileSync(path, 'utf8') === 'first\n');
  await before.close();
  const file = open(path);
  const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i}`);
  for (const line of lines) file.write(`${line}\n`);
  await file.close();
  expect(readFileSync(path, 'utf8').trim().split('\n')).toEqual(['first', ...lines]);
  expect([file.dropped, troubles]).toEqual([0, []]);
  file.write('too late\n');
});

test('of what nobody reads so much is kept, and the rest is dropped and counted', async () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  // Open at both ends: nothing blocks, and nothing is read.
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const file = open(path);
  const line = `${'x'.repeat(1_023)}\n`;
  const count = (2 * BUFFER_BYTES) / line.length;
  for (let i = 0; i < count; i++) file.write(line);
  const kept = (count - file.dropped) * line.length;
  expect(kept).toBeLessThanOrEqual(BUFFER_BYTES);
  expect(kept).toBeGreaterThan(BUFFER_BYTES / 2);
  const chunk = Buffer.alloc(65_536);
  let read = 0;
  await eventually('everything that was kept is read', () => {
    try {
      for (let bytes = 1; bytes > 0; read += bytes) bytes = readSync(reader, chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return read === kept;
  });
  await file.close();
  closeSync(reader);
});

test('a disk that is full is said once', async () => {
  const file = open('/dev/full');
  for (let i = 0; i < 100; i++) file.write(`${'x'.repeat(1_023)}\n`);
  await eventually('it is said', () => troubles.length > 0);
  for (let i = 0; i < 100; i++) file.write(`${'x'.repeat(1_023)}\n`);
  await file.close();
  expect(troubles).toEqual([expect.stringContaining('ENOSPC')]);
});

test('a file that can not be written is refused at once', () => {
  expect(() => open(join(folder, 'nowhere', 'access.log'))).toThrow('ENOENT');
});
