/** Control groups of this kernel, and directories that look like them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { findGroup, groupDirectory, readPressure } from '../../../src/linker/pressure.ts';
import { eventually } from '../../support/eventually.ts';

const BUSY = ['-c', '0', 'nice', '-n', '19', 'sh', '-c', 'while :; do :; done'];
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

test('files that are missing, too long, or directories are no trouble', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-group-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  expect(await readPressure(directory)).toBe('none');
  writeFileSync(join(directory, 'memory.max'), '1000\n');
  writeFileSync(join(directory, 'memory.current'), '960\n');
  expect(await readPressure(directory)).toBe('less');
  mkdirSync(join(directory, 'cpu.pressure'));
  writeFileSync(join(directory, 'memory.stat'), `${'x'.repeat(100_000)}\ninactive_file 900\n`);
  expect(await readPressure(directory)).toBe('less');
});

test('a process that is gone has no group', async () => {
  expect(await findGroup(2 ** 30)).toBeNull();
});

/** A new group of this kernel; null: none can be made here. */
function newGroup(): string | null {
  const directory = groupDirectory(`0::/pullproxy-test-${process.pid}\n`, readFileSync('/proc/self/mountinfo', 'utf8'));
  if (directory === null) return null;
  try {
    mkdirSync(directory);
    return directory;
  } catch {
    return null;
  }
}

test('eight processes that compute on one processor wait for it, where the kernel says so', async () => {
  const group = newGroup();
  // Not for every user, and not in every container.
  if (group === null) return;
  ends.push(() => eventually('it is empty', () => rmdirSync(group) === undefined));
  const children: ChildProcess[] = [];
  for (let i = 0; i < 8; i++) children.push(spawn('taskset', BUSY, { stdio: 'ignore' }));
  ends.push(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map((child) => once(child, 'exit')));
  });
  const [first] = children as [ChildProcess];
  for (const { pid } of children) writeFileSync(join(group, 'cgroup.procs'), String(pid));
  expect(await findGroup(first.pid as number)).toBe(group);
  if (!hasPsi(group)) return;
  await eventually('it waits', async () => (await readPressure(group)) === 'no more', 60_000);
});

function hasPsi(group: string): boolean {
  try {
    return readFileSync(join(group, 'cpu.pressure'), 'utf8').startsWith('some');
  } catch {
    return false;
  }
}
