import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PageFiles } from '../../../../src/cli/files/page-files.ts';
import { ConfigError } from '../../../../src/errors.ts';
import { createLog } from '../../../../src/log.ts';

const log = createLog('test', 'silent');
const FACTS = { route: 'app.test', host: 'app.test', state: 'busy', position: 2, waitMs: null } as const;
let directory: string;
let pagesDir: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pages-'));
  pagesDir = join(directory, 'pages');
  mkdirSync(pagesDir);
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (name: string, text: string | Buffer): void => writeFileSync(join(pagesDir, name), text);
const shown = ({ pages }: PageFiles, route: string): string => pages.of(route).render(FACTS);

describe('pages of an operator', () => {
  test('are those of their routes, and one of all others', () => {
    write('app.test.html', 'app {{position}}');
    write('*.test.html', 'any {{position}}');
    write('default.html', 'other {{position}}');
    write('style.css', '{{no}}');
    const files = new PageFiles({ pagesDir }, log);
    expect(['app.test', '*.test', 'b.example'].map((route) => shown(files, route))).toEqual(['app 2', 'any 2', 'other 2']);
  });

  test('are pullproxy’s own where there are none', () => {
    expect(shown(new PageFiles({}, log), 'app.test')).toContain('You are number 2 in line.');
    expect(shown(new PageFiles({ pagesDir }, log), 'app.test')).toContain('You are number 2 in line.');
  });

  test('are read anew, and stay as they are when one can not be used', () => {
    write('app.test.html', 'one');
    const files = new PageFiles({ pagesDir }, log);
    expect([...files.prepare({ pagesDir }).outcomes]).toEqual([['pages', 'unchanged']]);
    write('app.test.html', 'two');
    const prepared = files.prepare({ pagesDir });
    expect([...prepared.outcomes]).toEqual([['pages', 'changed']]);
    expect(shown(files, 'app.test')).toBe('one');
    prepared.apply();
    expect(shown(files, 'app.test')).toBe('two');
    write('app.test.html', '{{tow}}');
    expect(() => files.prepare({ pagesDir })).toThrow('{{tow}} is no placeholder');
    expect(shown(files, 'app.test')).toBe('two');
  });

  test('may be links within the directory, as those of a ConfigMap', () => {
    mkdirSync(join(pagesDir, '..2026'));
    writeFileSync(join(pagesDir, '..2026', 'app.test.html'), 'linked');
    symlinkSync('..2026', join(pagesDir, '..data'));
    symlinkSync('..data/app.test.html', join(pagesDir, 'app.test.html'));
    expect(shown(new PageFiles({ pagesDir }, log), 'app.test')).toBe('linked');
  });

  test.each<[string, () => void, string]>([
    [
      'a link out of the directory',
      () => {
        writeFileSync(join(directory, 'secret'), 's');
        symlinkSync('../secret', join(pagesDir, 'app.test.html'));
      },
      'outside',
    ],
    [
      'a link to a directory beside it whose name begins alike',
      () => {
        mkdirSync(`${pagesDir}2`);
        writeFileSync(`${pagesDir}2/a`, 's');
        symlinkSync(`${pagesDir}2/a`, join(pagesDir, 'app.test.html'));
      },
      'outside',
    ],
    ['a link to nothing', () => symlinkSync('nothing', join(pagesDir, 'app.test.html')), 'ENOENT'],
    ['a directory', () => mkdirSync(join(pagesDir, 'app.test.html')), 'no file'],
    ['a name that is no route’s', () => write('Read Me.html', ''), 'not called after a route'],
    ['more than 64 KiB', () => write('app.test.html', 'x'.repeat(65_537)), '64 KiB'],
    ['what is no UTF-8', () => write('app.test.html', Buffer.from([0xff, 0xfe])), 'not valid'],
    ['an unknown placeholder', () => write('app.test.html', '{{secret}}'), '{{secret}}'],
  ])('are refused: %s', (_what, make, why) => {
    make();
    expect(() => new PageFiles({ pagesDir }, log)).toThrow(ConfigError);
    expect(() => new PageFiles({ pagesDir }, log)).toThrow(why);
  });

  test('are refused where there is no directory', () => {
    expect(() => new PageFiles({ pagesDir: join(directory, 'nowhere') }, log)).toThrow('ENOENT');
  });
});
