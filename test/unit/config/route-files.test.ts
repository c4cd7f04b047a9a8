import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { changesOf } from '../../../src/cli/commands/route-files.ts';
import { NODE } from '../../../src/config/commands/node.ts';
import { loadCommand } from '../../../src/config/load.ts';
import { readRouteFiles } from '../../../src/config/route-files.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';
import { ConfigError } from '../../../src/errors.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pullproxy-routes-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
const route = (name: string, settings = ''): string => `routes:\n  ${name}: {${settings}}\n`;

async function problemsOf(path = directory): Promise<string[]> {
  const problems: string[] = [];
  await readRouteFiles('--routes', path, problems);
  return problems.map((one) => one.replaceAll(directory, 'DIR'));
}

describe('files with routes', () => {
  test('are one, or all of a directory in the order of their names, hidden and other ones left out', async () => {
    write('b.yaml', route('b.example.com', 'maxInstances: 2'));
    write('a.yml', route('a.example.com'));
    write('.hidden.yaml', '{');
    write('notes.txt', '{');
    const problems: string[] = [];
    expect([...(await readRouteFiles('--routes', directory, problems))]).toEqual([
      ['a.example.com', {}],
      ['b.example.com', { maxInstances: 2 }],
    ]);
    expect([...(await readRouteFiles('--routes', join(directory, 'b.yaml'), problems)).keys()]).toEqual(['b.example.com']);
    expect(problems).toEqual([]);
  });

  test('say all that is wrong at once, with the file', async () => {
    write('1.yaml', route('a.example.com', 'maxInstances: many'));
    write('2.yaml', `${route('a.example.com')}log-level: debug\n`);
    write('3.yaml', 'routes: [\n');
    write('4.yaml', '');
    expect(await problemsOf()).toEqual([
      expect.stringMatching(/^DIR\/1\.yaml: routes\.a\.example\.com\.maxInstances "many": expected /),
      'DIR/2.yaml: log-level "debug": expected only "routes" at the top level',
      'DIR/2.yaml: routes "a.example.com": expected each route in one file; it was in one before this',
      expect.stringMatching(/^--routes "DIR\/3\.yaml": expected YAML/),
    ]);
    write('3.yaml', 'routes: {}\n');
    expect((await problemsOf()).at(-1)).toBe('DIR/4.yaml: expected "routes:" with names of routes and their settings below it');
  });

  test('can not give one host to two routes', async () => {
    write('1.yaml', route('a', 'match: [shop.example.com]'));
    write('2.yaml', route('b', 'match: [shop.example.com]'));
    expect(await problemsOf()).toEqual([
      expect.stringMatching(/^routes\.b\.match "shop\.example\.com": expected .*belongs to the route a$/),
    ]);
  });

  test('are refused when there are none, too many, too much or no files', async () => {
    expect(await problemsOf()).toEqual([expect.stringMatching(/expected a directory with at least one \*\.yaml or \*\.yml$/)]);
    expect(await problemsOf(join(directory, 'none'))).toEqual([expect.stringMatching(/that can be read \(ENOENT\)$/)]);
    mkdirSync(join(directory, 'folder.yaml'));
    expect(await problemsOf()).toEqual(['--routes "DIR/folder.yaml": expected a file']);
    rmSync(join(directory, 'folder.yaml'), { recursive: true });
    write('big.yaml', `#${' '.repeat(4 * 1_048_576)}`);
    expect(await problemsOf()).toEqual([expect.stringMatching(/expected at most 4194304 bytes; there are 4194305$/)]);
    rmSync(join(directory, 'big.yaml'));
    write('many.yaml', `routes:\n${Array.from({ length: 10_001 }, (_, i) => `  a${i}: {}`).join('\n')}\n`);
    expect(await problemsOf()).toEqual([expect.stringMatching(/expected at most 10000 routes; there are 10001$/)]);
    rmSync(join(directory, 'many.yaml'));
    for (let i = 0; i <= 500; i++) write(`${i}.yaml`, 'routes: {}\n');
    expect(await problemsOf()).toEqual([expect.stringMatching(/expected at most 500 files; there are 501$/)]);
  });

  test('whose aliases would grow without bound are refused', async () => {
    const lines = Array.from({ length: 12 }, (_, i) => `x${i + 1}: &x${i + 1} [${Array(12).fill(`*x${i}`).join(', ')}]`);
    write('bomb.yaml', ['x0: &x0 [a]', ...lines, 'routes: *x12', ''].join('\n'));
    expect(await problemsOf()).toEqual([expect.stringMatching(/expected YAML \(Excessive alias count/)]);
  });
});

describe('the routes of a node', () => {
  const load = async (config: string, ...argv: string[]) => {
    write('node.yaml', config);
    const loaded = await loadCommand(NODE, ['--config', join(directory, 'node.yaml'), '--backend', '127.0.0.1:0', ...argv], {});
    return loaded;
  };

  test('are those of --config and of --routes, which --config may name', async () => {
    mkdirSync(join(directory, 'routes'));
    write('routes/a.yaml', route('a.example.com'));
    const flag = ['--routes', join(directory, 'routes')];
    expect([...((await load(route('b.example.com'), ...flag))?.routes.keys() ?? [])]).toEqual(['b.example.com', 'a.example.com']);
    const named = await load(`routes: ${join(directory, 'routes')}\n`);
    expect([[...(named?.routes.keys() ?? [])], named?.values.routesFrom]).toEqual([['a.example.com'], join(directory, 'routes')]);
    await expect(load(route('a.example.com'), ...flag)).rejects.toThrow(/not in both/);
    await expect(load(route('b', 'match: [a.example.com]'), ...flag)).rejects.toThrow(ConfigError);
  });
});

test('a plan names what is added, changed and, where that is asked for, deleted', () => {
  const stored = new Map<string, RouteRecord>([
    ['kept', { holdTimeout: '1m' }],
    ['changed', { maxInstances: 4, maxHeld: 5 }],
    ['other', {}],
  ]);
  const wanted = new Map<string, RouteRecord>([
    ['kept', { holdTimeout: '1m' }],
    ['changed', { maxInstances: 8 }],
    ['new', {}],
  ]);
  const changed = { name: 'changed', settings: { maxInstances: 8 }, lines: ['maxHeld: 5 -> default', 'maxInstances: 4 -> 8'] };
  const added = { name: 'new', settings: {}, lines: [] };
  expect(changesOf(stored, wanted, false)).toEqual([changed, added]);
  expect(changesOf(stored, wanted, true)).toEqual([changed, added, { name: 'other', settings: null, lines: [] }]);
});
