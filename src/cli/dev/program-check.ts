import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { printable } from '../../printable.ts';

/**
 * Why the first word of the command can't be run, in words; null: it can. A misspelt program is said when `dev` starts, not when the first client
 * comes. As execvp(3) looks for it: a name without a slash is one of PATH.
 */
export function programProblem([program = '']: readonly string[], path: string | undefined): string | null {
  const expected = (what: string): string => `"${printable(program)}": expected ${what}`;
  if (program.includes('/')) {
    const found = look(program);
    if (found === 'runs') return null;
    return expected(found === 'absent' ? 'a program: there is no such file' : 'a program: this file is not executable');
  }
  const looks = (path ?? '').split(delimiter).map((directory) => look(join(directory === '' ? '.' : directory, program)));
  if (looks.includes('runs')) return null;
  if (looks.includes('other')) return expected('a program: what PATH has of this name is not executable');
  return expected('a program: no directory of PATH has one of this name. Is it misspelt, or not installed?');
}

function look(file: string): 'runs' | 'other' | 'absent' {
  try {
    if (!statSync(file).isFile()) return 'other';
    accessSync(file, constants.X_OK);
    return 'runs';
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '') ? 'absent' : 'other';
  }
}
