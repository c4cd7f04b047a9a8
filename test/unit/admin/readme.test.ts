/** The README's tables of troubles, of answers and of routes' settings are kept true; commands and settings: test/e2e/readme.test.ts. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { DEFAULT_ROUTE_SETTINGS, ROUTE_KEYS, writeRouteSettings } from '../../../src/config/route-settings.ts';
import { ERRORS, type ErrorKind } from '../../../src/errors.ts';

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

test('names every answer of pullproxy’s own with its status, and no others', () => {
  const rows = tableOf('### Answers of pullproxy');
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

test('names every setting of a route with its default, and no others', () => {
  const rows = tableOf('### Route settings');
  const named = rows.flatMap(([keys = '']) => codesIn(keys));
  expect(named.toSorted()).toEqual(Object.keys(ROUTE_KEYS).toSorted());
  const standard = writeRouteSettings(DEFAULT_ROUTE_SETTINGS);
  for (const [keys = '', values = ''] of rows) {
    const said = values === '' ? [] : values.split(',').map((value) => value.trim().replaceAll('`', ''));
    const real = codesIn(keys).map((key) => String(standard[key] ?? ''));
    const inMs = (text: string): string =>
      /^\d+s$/.test(text) ? `${Number.parseInt(text, 10) * 1000}ms` : text === '1m' ? '60000ms' : text;
    expect([keys, said.map(inMs).filter(Boolean)]).toEqual([keys, real.map(inMs).filter(Boolean)]);
  }
});

/** The cells of the first table below a heading. */
function tableOf(heading: string): string[][] {
  const [, table = ''] = /\n\n(\|[\s\S]*?)\n\n/.exec(readme.slice(readme.indexOf(heading))) ?? [];
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
