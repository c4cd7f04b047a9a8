import { describe, expect, test } from '@jest/globals';
import { AppOutput } from '../../../../src/cli/dev/app-output.ts';

function output(isRaw = false) {
  const lines: string[] = [];
  let at = 0;
  const raw: string[] = [];
  const line = isRaw ? null : (text: string): void => void lines.push(text);
  const taken = new AppOutput({ line, raw: (text) => raw.push(text), now: () => at });
  return { taken, lines, raw, pass: (ms: number) => (at += ms) };
}

describe('what an application writes', () => {
  test('is shown line by line, each stream for itself, without colours and controls', () => {
    const { taken, lines } = output();
    taken.take('stdout', 'one\r\ntw');
    taken.take('stderr', '\u001b[31mred\u001b[0m\tand\u0007 bell\n');
    taken.take('stdout', 'o\nrest');
    taken.end();
    expect(lines).toEqual(['one', 'red  and\\u0007 bell', 'two', 'rest']);
    expect(taken.last).toEqual(lines);
  });

  test('is bounded: the length of a line, lines a second, and what is kept', () => {
    const { taken, lines, pass } = output();
    for (let chunk = 0; chunk < 100; chunk++) taken.take('stdout', 'x'.repeat(1_000));
    taken.take('stdout', '\n');
    expect(lines[0]).toHaveLength(2_000);
    expect(taken.last[0]).toHaveLength(500);
    taken.take('stdout', 'y\n'.repeat(1_000));
    expect(lines).toHaveLength(200);
    expect(taken.last).toHaveLength(20);
    pass(1_000);
    taken.take('stdout', 'z\n');
    expect(lines.slice(200)).toEqual(['… 801 more lines in that second are not shown', 'z']);
  });

  test('goes out as it is where no person reads it, and its last lines are kept all the same', () => {
    const { taken, lines, raw } = output(true);
    taken.take('stderr', '\u001b[31mred\n');
    taken.end();
    expect([lines, raw, taken.last]).toEqual([[], ['\u001b[31mred\n'], ['red']]);
  });
});
