/** The README's section on operating is kept true. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const root = new URL('../../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

test('names every code of a trouble, and no others', () => {
  const sources = ['troubles.ts', 'route-troubles.ts'].map((file) => readFileSync(new URL(`src/admin/${file}`, root), 'utf8')).join('\n');
  const codes = new Set([...sources.matchAll(/\bcode: '(\w+)'/g)].map(([, code]) => code));
  const table = readme.slice(readme.indexOf('### What is wrong, and what to do'), readme.indexOf('### The admin port'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, code]) => code));
  expect(named.toSorted()).toEqual([...codes].toSorted());
});

test('shows pictures that are there, none of them heavy, and none is there for nobody', () => {
  const shown = new Set([...readme.matchAll(/deploy\/pictures\/([\w.-]+)/g)].map(([, file]) => file ?? ''));
  expect(readdirSync(new URL('deploy/pictures/', root)).toSorted()).toEqual([...shown].toSorted());
  for (const file of shown) expect(statSync(new URL(`deploy/pictures/${file}`, root)).size).toBeLessThan(150_000);
});
