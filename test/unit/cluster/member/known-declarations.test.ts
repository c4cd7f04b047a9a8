import { expect, test } from '@jest/globals';
import pino from 'pino';
import { KnownDeclarations } from '../../../../src/cluster/member/known-declarations.ts';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';

test('a node that leaves a cluster logs which routes are missing, and no value of their settings', async () => {
  const directory = new MemoryDirectory();
  await directory.restore('first', { cluster: 'first', highest: 5, all: [] });
  const all = Array.from({ length: 30 }, (_, i) => ({
    kind: 'settings' as const,
    name: `r${i}.example.com`,
    value: JSON.stringify({ waitingPage: 'a secret' }),
    version: i + 1,
  }));
  const kept = { cluster: 'second', highest: 99, all };
  const file = { read: () => kept, save: () => {}, putAside: () => '/state/second.json' };
  const lines: string[] = [];
  const log = pino({}, { write: (line) => lines.push(line) });
  await new KnownDeclarations(directory, { file }, log, () => performance.now()).routes();
  expect(lines).toHaveLength(1);
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  expect(line).toMatchObject({ level: 50, former: 'second', cluster: 'first', count: 30, file: '/state/second.json' });
  expect(line.routes).toEqual(all.slice(0, 10).map(({ name }) => name));
  expect(lines[0]).not.toContain('a secret');
});
