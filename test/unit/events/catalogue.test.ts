import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { CATALOGUE, OF_LINKERS, rowOf } from '../../../src/events/catalogue.ts';

const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

/** The messages of all lines of these levels that are literals, by file. */
function messages(): [file: string, message: string][] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.flatMap((file) => {
    const source = readFileSync(join(SRC, file), 'utf8');
    const calls = [...source.matchAll(/\b#?log\??\s*\.(?:warn|error|fatal)\(/g)].map(({ index, 0: call }) =>
      argumentsFrom(source, index + call.length),
    );
    return calls.flatMap((text) => {
      const literal = [...text.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`([^`$]*)/g)]
        .map(([, a, b, c]) => a ?? b ?? c ?? '')
        .filter(Boolean);
      const last = literal.at(-1);
      return last === undefined || !/[,(]?\s*['"`][^'"`]*['"`]?[^'"`]*$/.test(text) || /(\bmessage|\bfailure|\bwhat)\s*$/.test(text.trim())
        ? []
        : [[file, last] as [string, string]];
    });
  });
}

function argumentsFrom(source: string, from: number): string {
  let depth = 1;
  let at = from;
  for (; depth > 0 && at < source.length; at++) {
    if (source[at] === '(') depth++;
    if (source[at] === ')') depth--;
  }
  return source
    .slice(from, at - 1)
    .trim()
    .replace(/,$/, '');
}

test('each warning and error of the log has a row that says its code, place, cause and what to do', () => {
  const found = messages();
  expect(found.length).toBeGreaterThan(50);
  const unknown = found.filter(
    ([file, message]) =>
      rowOf(message) === null && !(file.startsWith('linker/') || OF_LINKERS.has(message)) && !file.startsWith('cli/commands/linker'),
  );
  expect(unknown).toEqual([]);
});

test('each row is about a line that there is', () => {
  const source = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('events/'))
    .map((file) => readFileSync(join(SRC, file), 'utf8'))
    .join('\n');
  const gone = Object.keys(CATALOGUE).filter(
    (message) => !source.includes(message) && !/^(startup command failed|a short secret can be guessed)$/.test(message),
  );
  expect(gone).toEqual([]);
});

test('what is wrong says what to do', () => {
  for (const [message, { level, advice }] of Object.entries(CATALOGUE)) {
    expect([message, level === 'note' || advice !== '']).toEqual([message, true]);
  }
});
