import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { openDeclarationsFile } from '../../../../src/cli/files/declarations-file.ts';

const one = { kind: 'settings', name: 'a.example.com', value: '{}', version: 3 } as const;
const all = { cluster: 'c1', highest: 7, all: [one, { ...one, name: 'b.example.com', value: null }] };

let directory: string;
let lines: string[] = [];
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(String((JSON.parse(line) as { msg: string }).msg)) });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pullproxy-state-'));
  lines = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (): ReturnType<typeof openDeclarationsFile> => openDeclarationsFile(join(directory, 'state'), log);
const path = (): string => join(directory, 'state', 'declarations.json');

describe('the state file', () => {
  test('gives back what was saved last, also to another process, and is for its owner only', () => {
    const file = open();
    expect(file.read()).toBeNull();
    file.save({ ...all, highest: 6 });
    file.save(all);
    file.flush();
    expect(open().read()).toEqual(all);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(directory, 'state'))).toEqual(['declarations.json']);
    expect(lines).toEqual([]);
  });

  test.each([
    ['', 'nothing'],
    ['{"form":1,"cluster":"c","highest":1,"all":[{"kind":"settings","name":"a","va', 'the first part'],
    ['{"form":2,"highest":1,"all":[]}', 'another version'],
    ['{"form":1,"highest":"x","all":[]}', 'no number'],
    ['{"form":1,"highest":1,"all":[{"kind":"settings","name":"A B","value":"{}","version":1}]}', 'a bad name'],
    ['{"form":1,"highest":1,"all":[{"kind":"settings","name":"a","value":{},"version":1}]}', 'a bad value'],
    ['[]', 'a list'],
  ])('that says %j (%s) is moved aside and said to be bad', (text) => {
    const file = open();
    writeFileSync(path(), text);
    expect(file.read()).toBeNull();
    expect(lines).toEqual(['the state file can not be read: it is moved aside']);
    expect(readFileSync(`${path()}.unreadable`, 'utf8')).toBe(text);
    file.save(all);
    file.flush();
    expect(file.read()).toEqual(all);
  });

  test('that can not be written leaves the node running, and is written when it can be', () => {
    const file = open();
    writeFileSync(join(directory, 'state', `declarations.json.${process.pid}`), '');
    chmodSync(join(directory, 'state', `declarations.json.${process.pid}`), 0o400);
    rmSync(join(directory, 'state'), { recursive: true });
    file.save(all);
    file.flush();
    expect(lines).toEqual(['the state file can not be written']);
    const again = open();
    file.flush();
    expect(again.read()).toEqual(all);
  });

  test('keeps declarations of another cluster in a file of their own', () => {
    const file = open();
    const aside = file.putAside(all);
    expect(JSON.parse(readFileSync(aside, 'utf8'))).toMatchObject({ cluster: 'c1', highest: 7 });
  });
});
