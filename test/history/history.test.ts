/** A minute of what `npm run history -- simulate` does for as long as somebody likes: the same seeds each time, so that a change that breaks this is to blame for it. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, jest, test } from '@jest/globals';
import { MUTANTS } from './mutants/list.ts';
import { patched } from './mutants/mutants.ts';
import type { Tail } from './simulation/tails.ts';

jest.setTimeout(600_000);

const RUN = fileURLToPath(new URL('./run.ts', import.meta.url));

/** Exit code and output. In a process of its own: time is simulated there. */
async function history(...args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, [RUN, ...args]);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text = `${text}${chunk}`.slice(-20_000);
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, text };
}

describe('a checked history', () => {
  test('of ten simulated schedules under faults that overlap shows nothing (npm run history -- simulate goes on)', async () => {
    const { code, text } = await history('simulate', '--seed', '1', '--schedules', '10');
    process.stderr.write(text.slice(-300));
    expect({ code, text }).toMatchObject({ code: 0 });
  });

  test('of thirty small ones, in two processes, shows nothing either, and each of them was simulated', async () => {
    const { code, text } = await history('simulate', '--shape', 'small', '--seed', '1', '--schedules', '30', '--workers', '2');
    process.stderr.write(text.slice(-300));
    expect({ code, text }).toMatchObject({ code: 0 });
    const counts = JSON.parse(text.trim().split('\n').at(-1) ?? '{}') as Record<string, unknown>;
    expect(counts).toMatchObject({ seeds: '1..30', schedules: 30, schedulesWithFindings: 0 });
  });

  test('is the same for the same seed, whatever was simulated before', async () => {
    const counts = async (...args: readonly string[]): Promise<{ requests: number; events: number }> => {
      const { text } = await history('simulate', '--shape', 'small', ...args);
      return JSON.parse(text.trim().split('\n').at(-1) ?? '{}') as { requests: number; events: number };
    };
    const [first, second, both] = await Promise.all([
      counts('--seed', '7', '--schedules', '1'),
      counts('--seed', '8', '--schedules', '1'),
      counts('--seed', '7', '--schedules', '2'),
    ]);
    expect(both.requests).toBe(first.requests + second.requests);
    expect(both.events).toBe(first.events + second.events);
  });

  test('would show a request that is sent twice (npm run history -- mutants has more)', async () => {
    const { code, text } = await history('mutants', '--only', 'a request that may not be sent twice is sent again');
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining('1 of 1 mutants found') });
  });
});

test('in simulated time a quiet tenant and an urgent class wait for little, equal tenants get equal shares, and a raised limit is used at once', async () => {
  const { code, text } = await history('tails', '--seed', '1');
  process.stderr.write(text);
  expect(code).toBe(0);
  const [tenants, classes, shares, raises] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, Tail>);
  // The service is 20 ms of it, and the ways between processes some more.
  expect(tenants?.quiet?.p99).toBeLessThan(80);
  expect(tenants?.loud?.p50).toBeGreaterThan(500);
  expect(classes?.urgent?.p99).toBeLessThan(90);
  const counts = ['a', 'b', 'c'].map((name) => shares?.[name]?.responses ?? 0);
  expect(Math.min(...counts)).toBeGreaterThan(0.9 * Math.max(...counts));
  expect(raises?.used).toMatchObject({ responses: 200 });
  // Some ten ways between processes.
  expect(raises?.used?.p99).toBeLessThan(15);
});

test('each mutant still applies to the code, exactly once, and changes it', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(20);
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  for (const mutant of MUTANTS) expect(patched(mutant)).not.toBe('');
});
