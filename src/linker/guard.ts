/**
 * Ends the application when the linker is killed. Nothing in Node asks the kernel for that: PR_SET_PDEATHSIG is out of reach, it is not
 * inherited by what the application starts, and a cgroup of one's own needs rights. So a shell holds the other end of a pipe: the pipe
 * closes with the linker however that ends, and then the shell ends the application's whole process group. It costs about 150 kB, and is
 * started while the application starts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { guard } from '../boundary.ts';

/**
 * `read` fails when the pipe closes; a line means that the group is gone in order. The shell ignores the signals that a terminal or a service
 * manager sends to everybody: it is the last one to go.
 */
const SCRIPT = `trap '' HUP INT TERM QUIT
read -r over && exit 0
kill -TERM "-$1" 2>/dev/null
rounds=0
while kill -0 "-$1" 2>/dev/null && [ "$rounds" -lt "$2" ]; do sleep 0.1 || sleep 1; rounds=$((rounds + 1)); done
kill -KILL "-$1" 2>/dev/null`;
const ROUND_MS = 100;
/** A guard that was killed is replaced after this time, so that killing it repeatedly costs little. */
const AGAIN_MS = 1_000;

export class Guard {
  readonly #group: number;
  readonly #stopTimeoutMs: number;
  readonly #absent: (reason: string) => void;
  #shell: ChildProcess | null = null;
  #again: NodeJS.Timeout | null = null;
  #state: 'watching' | 'released' = 'watching';

  /** `group` gets `stopTimeoutMs` between SIGTERM and SIGKILL; `absent`: nobody would end it, and why. */
  constructor(group: number, stopTimeoutMs: number, absent: (reason: string) => void) {
    this.#group = group;
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
      shell = spawn('/bin/sh', ['-c', SCRIPT, 'pullproxy-guard', String(this.#group), rounds], {
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
