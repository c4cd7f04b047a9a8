/** The tables and drawings of src/README.md are those of the code. Its maps of rooms: architecture.test.ts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { HISTORY_BUCKETS_MAX } from '../../src/cluster/history.ts';
import { declarationKeys, routeKeys, routeKeyTypes } from '../../src/cluster/redis/keys.ts';
import { SCRIPTS } from '../../src/cluster/redis/scripts.ts';
import { ERRORS } from '../../src/errors.ts';
import { Frame } from '../../src/link/frames.ts';
import { tableOf } from '../support/tables.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const guide = read('src/README.md');

const table = (heading: string): string[][] => tableOf(guide, heading);

function drawing(name: string): string {
  return guide.split('```').find((block) => block.startsWith('mermaid') && block.includes(`%% ${name}\n`)) ?? '';
}

test('the drawing of a slot names frames that there are', () => {
  const named = [...drawing('slot').matchAll(/\b[A-Z]{4,}\b/g)].map(([word]) => word).filter((word) => word !== 'KEEP');
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((word) => !(word in Frame))).toEqual([]);
});

describe('Redis', () => {
  test('every script is in the table with its keys, and no others', () => {
    const many: Readonly<Record<string, number>> = {
      route: routeKeys('r').length,
      'route and agents': routeKeys('r').length + 1,
      declared: declarationKeys.length,
      buckets: HISTORY_BUCKETS_MAX,
      'both of agents': 2,
    };
    const rows = table('| script | keys | what it does |').map(([name = '', keys = '']) => [name, many[keys] ?? 1]);
    const scripts = Object.entries(SCRIPTS).map(([name, { numberOfKeys }]) => [
      name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      numberOfKeys,
    ]);
    expect(rows.toSorted()).toEqual(scripts.toSorted());
    const files = readdirSync(new URL('src/cluster/redis/scripts/', root)).filter((file) => !file.startsWith('_'));
    expect(rows.map(([name]) => `${name}.lua`).toSorted()).toEqual(files.toSorted());
  });

  test('every key of a route is in the table with its type, in the order of the scripts', () => {
    const rows = table('| key of a route | type | content |').map(([key, type]) => [`pp:{r}:${key}`, type]);
    expect(rows).toEqual(routeKeys('r').map((key, at) => [key, routeKeyTypes[at]]));
  });

  test('every other key that the code names is in the table', () => {
    const source = read('src/cluster/redis/keys.ts');
    const keys = [
      ...source.matchAll(
        /[`'](pp:\{pp:history\}:\$\{bucket\}|pp:\{\$\{route\}\}:(?:keys|agents|given)|pp:\{\$\{route\}\}:place:\$\{place\}|pp:[^`'{]*(?:\{?\$\{(?:node|routesKey)\}[^`']*)?)[`']/g,
      ),
    ].map(([, key = '']) =>
      key
        .replace(/\$\{node\}/, 'ID')
        .replace(/\$\{routesKey\}/, 'pp:routes')
        .replace(/\$\{bucket\}/, 'N')
        .replace(/\$\{route\}\}:place:\$\{place\}/, 'ROUTE}:place:ID')
        .replace(/\$\{route\}/, 'ROUTE'),
    );
    expect(
      table('| other key | content |')
        .map(([key]) => key)
        .toSorted(),
    ).toEqual(keys.toSorted());
  });
});

test('the drawing of a visit has every error that a client can be told', () => {
  const named = [...drawing('visit').matchAll(/"([a-z_, 0-9]+)"/g)].flatMap(([, codes = '']) => codes.split(', '));
  expect([...new Set(named)].toSorted()).toEqual(Object.keys(ERRORS).toSorted());
});

test('each word of the dictionary stands in the file that it names', () => {
  const words = table('| word | meaning | where |');
  expect(words.length).toBeGreaterThan(20);
  const missing = words.filter(
    ([word = '', , where = '']) => !read(where).toLowerCase().includes(word.replace('startup job', 'startupjob')),
  );
  expect(missing).toEqual([]);
});

test('every file and folder that it names is there', () => {
  const named = [...guide.matchAll(/`((?:src|test|deploy)\/[^`\s]*)`/g)].map(([, path]) => path ?? '');
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
});
