import { beforeEach, describe, expect, test } from '@jest/globals';
import { RepeatedLines } from '../../src/repeated-lines.ts';

const [INFO, WARN] = [30, 40];

let now = 0;
let lines: RepeatedLines;
let written: string[] = [];

beforeEach(() => {
  now = 0;
  written = [];
  lines = new RepeatedLines(() => now);
});

function say(message: string, times = 1, level = WARN): void {
  for (let time = 0; time < times; time++) {
    const write = (_facts: object, text: string): void => void written.push(text);
    if (lines.take(level, message, write)) written.push(message);
  }
}

describe('lines that repeat themselves', () => {
  test('are written twenty times in ten seconds, and then summed up', () => {
    say('linker refused', 5_000);
    expect(written).toHaveLength(20);
    now = 10_000;
    say('linker refused');
    expect(written.slice(20)).toEqual(['linker refused … 4980 more', 'linker refused']);
  });

  test('keep nobody else from being heard', () => {
    say('linker refused', 5_000);
    say('a node stopped beating');
    expect(written.at(-1)).toBe('a node stopped beating');
  });

  test('may be a thousand if they tell what happens in order, and as many as there are for who debugs', () => {
    say('linker linked', 2_000, INFO);
    expect(written).toHaveLength(1_000);
    say('detail', 2_000, 20);
    expect(written).toHaveLength(3_000);
  });

  test('are summed up at the end, too, and only if there were more', () => {
    say('one');
    say('two', 21);
    written = [];
    lines.close();
    expect(written).toEqual(['two … 1 more']);
  });

  test('occupy no more memory than those of 200 messages, whatever they say', () => {
    say('first', 30);
    for (let other = 0; other < 100_000; other++) say(`message ${other}`);
    expect(written).toContain('first … 10 more');
    expect(written).toHaveLength(20 + 1 + 100_000);
  });
});
