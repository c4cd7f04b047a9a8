/** The linkers of this repository, with the application that the kit asks for. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MAIN } from '../support/program-path.ts';
import type { LinkerSettings } from './node-side.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CONCURRENCY = '3';

export const PYTHON_LINKER = join(ROOT, 'deploy/linkers/python');
/** Debian's, whichever other one there is. */
const PYTHON = '/usr/bin/python3';

export const settingsOf = (command: readonly string[]): LinkerSettings => ({
  host: '127.0.0.1',
  port: 0,
  route: 'conformance.test',
  secret: 'the secret of the conformance kit',
  command,
});

/** The linker of this package. */
export function ownLinker(): string[] {
  const app = join(ROOT, 'test/conformance/app.mjs');
  return [process.execPath, MAIN, 'linker', '--concurrency', CONCURRENCY, '--', process.execPath, app];
}

/** An agent that may start two instances: this package's, or the program in a file. */
export function agent(file?: string): string[] {
  const app = join(ROOT, 'test/conformance/app.mjs');
  const program = file === undefined ? [MAIN, 'linker'] : [file];
  return [process.execPath, ...program, '--instances', '0-2', '--concurrency', CONCURRENCY, '--', process.execPath, app];
}

/** `directory`: where its package lies. */
export function pythonLinker(app: 'app' | 'wsgi', directory = PYTHON_LINKER): string[] {
  const path = `PYTHONPATH=${directory}`;
  return ['env', path, 'PYTHONDONTWRITEBYTECODE=1', PYTHON, '-m', 'pullproxy', '--concurrency', CONCURRENCY, `example:${app}`];
}

/** Null where there is no Go. CI has it. */
export function goLinker(directory: string): string[] | null {
  if (spawnSync('go', ['version']).status !== 0) return null;
  const binary = join(directory, 'linker');
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' };
  execFileSync('go', ['build', '-o', binary, './example'], { cwd: join(ROOT, 'deploy/linkers/go'), env, stdio: 'pipe' });
  return [binary, '-concurrency', CONCURRENCY];
}
