/** The tables of troubles and of pullproxy's own responses are those of the code; commands and settings: test/unit/documents.test.ts. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { ERRORS, type ErrorKind } from '../../../src/errors.ts';

const root = new URL('../../../', import.meta.url);
const operating = readFileSync(new URL('deploy/README.md', root), 'utf8');
const reference = readFileSync(new URL('deploy/reference.md', root), 'utf8');

test('deploy/README.md names every code of a trouble, and no others', () => {
  const sources = ['troubles.ts', 'route-troubles.ts'].map((file) => readFileSync(new URL(`src/admin/${file}`, root), 'utf8')).join('\n');
  const codes = new Set([...sources.matchAll(/\bcode: '(\w+)'/g)].map(([, code]) => code));
  const table = operating.slice(operating.indexOf('### What is wrong, and what to do'), operating.indexOf('### The admin port'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, code]) => code));
  expect(named.toSorted()).toEqual([...codes].toSorted());
});

test('deploy/reference.md names every response of pullproxy’s own with its status, and no others', () => {
  const rows = tableOf('## Responses of pullproxy');
  const named = rows.flatMap(([status, words = '']) => codesIn(words).map((words) => `${status} ${words}`));
  const all = Object.values<ErrorKind>(ERRORS).map(
    ({ status, proxyStatus, details }) => `${status} ${proxyStatus}${details === undefined ? '' : `; details=${details}`}`,
  );
  expect(named.toSorted()).toEqual([...new Set(all)].toSorted());
  for (const [status, words = '', when = ''] of rows) {
    const kind = Object.values<ErrorKind>(ERRORS).find(
      ({ proxyStatus, details = '' }) => words.includes(proxyStatus) && words.includes(details),
    );
    if (status === '503' && kind?.details !== 'waiting_page') expect([words, when.includes('Retry-After')]).toEqual([words, true]);
  }
});

/** The cells of the first table below a heading. */
function tableOf(heading: string): string[][] {
  const [, table = ''] = /\n\n(\|[\s\S]*?)\n\n/.exec(reference.slice(reference.indexOf(`\n${heading}`))) ?? [];
  const [, , ...rows] = table.split('\n');
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function codesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}
