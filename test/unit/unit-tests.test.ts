/** What drives a socket or a process is an integration test: the tests in this folder stay quick, whatever else the machine does. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { SLOW } from '../support/slow-files.ts';

const TESTS = fileURLToPath(new URL('..', import.meta.url));
const OUTSIDE = /^node:(net|tls|http|https|http2|dgram|child_process|cluster)$|^(ioredis|bullmq|undici|testcontainers)$/;

test('a unit test and what it imports of test/ open no socket and start no process', () => {
  const files = readdirSync(join(TESTS, 'unit'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.test.ts'));
  expect(files.length).toBeGreaterThan(50);
  expect(files.flatMap((path) => outside(join(TESTS, 'unit', path)))).toEqual([]);
});

test('a test that does would be found', () => {
  expect(outside(join(TESTS, 'integration/node/http1/keep-alive.test.ts'))).toContain('support/raw-client.ts imports node:net');
});

test('each file that is begun first is there', () => {
  expect(SLOW.filter((name) => !existsSync(join(TESTS, `${name}.test.ts`)))).toEqual([]);
});

/** Which files open sockets or start processes, among `file` and all that it imports of test/. */
function outside(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return [];
  seen.add(file);
  const imports = [...readFileSync(file, 'utf8').matchAll(/^(?:import (?!type )|\} )[^;]*?'([^']+)';/gm)].map(([, name]) => name ?? '');
  return imports.flatMap((name) => {
    if (OUTSIDE.test(name)) return [`${relative(TESTS, file)} imports ${name}`];
    const target = join(dirname(file), name);
    return name.startsWith('.') && target.startsWith(TESTS) ? outside(target, seen) : [];
  });
}
