/** In a container the kernel gives every orphan to the first process, and only an init collects them when they end. */
import { existsSync } from 'node:fs';
import { inheritedEnvironment } from '../../config/environment.ts';

/** -s: no warning when it is not the first process. */
const INITS: readonly (readonly string[])[] = ['/usr/bin/tini', '/sbin/tini', '/usr/local/bin/tini', '/tini'].map((path) => [
  path,
  '-s',
  '--',
]);
const SHELL = '/bin/sh';
/** A shell that waits collects every child that has ended, its own or not. Signals go on to the command, whose exit code is the shell's. */
export const SHELL_INIT = `for name in HUP INT TERM QUIT USR1 USR2; do trap "kill -$name \\$pid 2>/dev/null" "$name"; done
"$@" &
pid=$!
while :; do
  wait "$pid"
  code=$?
  kill -0 "$pid" 2>/dev/null || exit "$code"
done`;

/**
 * If this is the first process, replaces it by an init that runs the same command as its child. Returns when there is nothing to
 * do, or no init is installed. Node itself waits only for its own children.
 */
export function runUnderInit(argv: readonly string[]): void {
  if (process.pid !== 1 || process.execve === undefined) return;
  const command = [process.execPath, ...process.execArgv, ...argv];
  const init = INITS.find(([path = '']) => existsSync(path)) ?? (existsSync(SHELL) ? [SHELL, '-c', SHELL_INIT, 'pullproxy-init'] : null);
  if (init === null) return;
  process.execve(init[0] ?? '', [...init, ...command], { ...inheritedEnvironment() } as NodeJS.ProcessEnv);
}
