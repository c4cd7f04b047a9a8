/**
 * Ends the application when the linker is killed. Nothing in Node asks the kernel for that: PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER are
 * out of reach, what the application starts does not inherit the first, and a cgroup of one's own needs rights. So a shell holds the other
 * end of a pipe. The pipe closes when the linker ends, however it ends. Then the shell ends the application's process group, and processes
 * outside the group (setsid) that have the instance's mark in their environment. It can't find a process that has left the group and was
 * started with an empty environment. The shell costs about 150 kB, and 2 ms of a start (median of 40: 36.4 instead of 34.6 ms).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { guard } from '../boundary.ts';

/**
 * `read` fails when the pipe closes; a line means that the group is gone in order. The shell ignores the signals that a terminal or a service
 * manager sends to everybody: it is the last one to go.
 */
const SCRIPT = `trap '' HUP INT TERM QUIT
read -r over && exit 0
group=$1 rounds=$2 mark=$3
outside() {
  found=
  for file in $(grep -lsF "$mark" /proc/[0-9]*/environ); do
    pid=\${file#/proc/} pid=\${pid%/environ}
    read -r stat < "/proc/$pid/stat" || continue
    set -- "$1" \${stat##*) }
    [ "$4" = "$group" ] && continue
    kill "-$1" "$pid" && found=yes
  done
} 2>/dev/null
pause() { sleep 0.1 || sleep 1; } 2>/dev/null
kill -TERM "-$group" 2>/dev/null
outside TERM
while kill -0 "-$group" 2>/dev/null || [ "$found" ] && [ "$rounds" -gt 0 ]; do pause; rounds=$((rounds - 1)); outside 0; done
kill -KILL "-$group" 2>/dev/null
outside KILL
while [ "$found" ]; do pause; outside KILL; done`;
const ROUND_MS = 100;
/** A guard that was killed is replaced after this time, so that killing it repeatedly costs little. */
const AGAIN_MS = 1_000;

export class Guard {
  readonly #group: number;
  readonly #mark: string;
  readonly #stopTimeoutMs: number;
  readonly #absent: (reason: string) => void;
  #shell: ChildProcess | null = null;
  #again: NodeJS.Timeout | null = null;
  #state: 'watching' | 'released' = 'watching';

  /**
   * `group`, and what has `mark` in its environment, get `stopTimeoutMs` between SIGTERM and SIGKILL; `absent`: nobody would end them, and why.
   */
  constructor(group: number, mark: string, stopTimeoutMs: number, absent: (reason: string) => void) {
    this.#group = group;
    this.#mark = mark;
    this.#stopTimeoutMs = stopTimeoutMs;
    this.#absent = absent;
    this.#begin();
  }

  /** The group is gone, and its number may belong to another group by now. */
  release(): void {
    if (this.#state === 'released') return;
    this.#state = 'released';
    if (this.#again !== null) clearTimeout(this.#again);
    this.#shell?.stdin?.end('over\n');
  }

  #begin(): void {
    const rounds = String(Math.ceil(this.#stopTimeoutMs / ROUND_MS));
    let shell: ChildProcess;
    try {
      // A session of its own: a Ctrl-C at the terminal is not for it.
      shell = spawn('/bin/sh', ['-c', SCRIPT, 'pullproxy-guard', String(this.#group), rounds, this.#mark], {
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      });
    } catch (error) {
      this.#absent(String(error));
      return;
    }
    this.#shell = shell;
    shell.once(
      'error',
      guard('application', (error: Error) => this.#absent(error.message)),
    );
    shell.once(
      'exit',
      guard('application', () => this.#gone()),
    );
    // A pipe whose reader was killed.
    shell.stdin?.on('error', () => {});
    // It is nothing to wait for at the end.
    shell.unref();
    if (shell.stdin !== null && 'unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  }

  #gone(): void {
    this.#shell = null;
    if (this.#state === 'released') return;
    const begin = guard('timer', () => this.#begin());
    this.#again = setTimeout(begin, AGAIN_MS);
    this.#again.unref();
  }
}
