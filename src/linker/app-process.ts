/** The application's process and its group: what the application starts belongs to it and ends with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** What shells say of a command that is not there, or not executable. */
const NOT_FOUND_CODE = 127;
const NOT_EXECUTABLE_CODE = 126;
const LEFTOVERS_POLL_MS = 50;

export interface AppExit {
  /** As shells say it: 128 and the signal's number when a signal ended it. */
  readonly code: number;
  readonly words: string;
}

export interface AppCommand {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class AppProcess {
  readonly exited: Promise<AppExit>;
  readonly #child: ChildProcess;
  #stopping: Promise<void> | null = null;

  constructor({ command, env }: AppCommand) {
    const [file = '', ...args] = command;
    // Standard output is the linker's log: what the application writes goes to standard error, all of it.
    this.#child = spawn(file, args, { env: env as NodeJS.ProcessEnv, detached: true, stdio: ['ignore', 2, 2] });
    const child = this.#child;
    this.exited = new Promise((resolve) => {
      // Later ones too: a signal that could not be delivered is no reason to end.
      child.on('error', (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined)
          resolve({
            code: error.code === 'EACCES' ? NOT_EXECUTABLE_CODE : NOT_FOUND_CODE,
            words: `could not be started: ${error.message}`,
          });
      });
      child.once('exit', (code, signal) => {
        if (signal === null) resolve({ code: code ?? 0, words: `ended with code ${code ?? 0}` });
        else resolve({ code: 128 + constants.signals[signal], words: `was ended by ${signal}` });
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** To the application itself, not to what it started. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGKILL to the whole group. */
  kill(): void {
    this.#signalGroup('SIGKILL');
  }

  /** SIGTERM to the whole group; whatever of it is left after `timeoutMs` is killed. Resolves when nothing is left. */
  stop(timeoutMs: number): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs);
    return this.#stopping;
  }

  async #stop(timeoutMs: number): Promise<void> {
    const killer = setTimeout(() => this.kill(), timeoutMs);
    this.#signalGroup('SIGTERM');
    await this.exited;
    while (this.#groupLives()) await sleep(LEFTOVERS_POLL_MS);
    clearTimeout(killer);
  }

  #signalGroup(name: NodeJS.Signals | 0): boolean {
    if (this.pid === undefined) return false;
    try {
      return process.kill(-this.pid, name);
    } catch {
      return false;
    }
  }

  #groupLives(): boolean {
    return this.#signalGroup(0) && !this.#onlyZombies();
  }

  /** In a container whose first process does not collect orphans the dead stay in the group for good. */
  #onlyZombies(): boolean {
    if (process.platform !== 'linux') return false;
    for (const entry of readdirSync('/proc')) {
      if (!/^\d/.test(entry)) continue;
      const [state, , group] = statOf(entry);
      if (group === String(this.pid) && state !== 'Z' && state !== 'X') return false;
    }
    return true;
  }
}

/** State, parent and group: the fields after the name in parentheses (proc(5)). */
function statOf(pid: string): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}
