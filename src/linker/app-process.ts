/** The application's process and its group: what the application starts belongs to it and ends with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { guard } from '../boundary.ts';
import { Guard } from './guard.ts';
import { outOfFilesWords } from './open-files.ts';
import { groupLives } from './process-table.ts';

/** Exit codes of shells for a command that is not found, or not executable. */
const NOT_FOUND_CODE = 127;
const NOT_EXECUTABLE_CODE = 126;
const LEFTOVERS_POLL_MS = 50;
/** How long the last words of an application that has ended may take; what it has started may hold the pipe for longer. */
const LAST_OUTPUT_MS = 250;

export interface AppExit {
  /** As shells say it: 128 and the signal's number when a signal ended it. */
  readonly code: number;
  readonly words: string;
  /** It has gone to the background: what the linker watched has ended, and something of it runs on. */
  readonly daemon?: boolean;
}

export type AppOutputTaker = (from: 'stdout' | 'stderr', text: string) => void;

export interface AppCommand {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** NAME=value in `env`, by which processes that have left the group are known. */
  readonly mark: string;
  /** From SIGTERM to SIGKILL when the linker is killed. */
  readonly stopTimeoutMs: number;
  /** Takes what the application writes; without it that goes to standard error as it is. */
  readonly output?: AppOutputTaker | undefined;
  /** Called when nothing would end the application if the linker were killed. */
  readonly unguarded: (reason: string) => void;
}

export class AppProcess {
  readonly exited: Promise<AppExit>;
  readonly #child: ChildProcess;
  readonly #guard: Guard | null;
  #stopping: Promise<void> | null = null;

  constructor({ command, env, mark, stopTimeoutMs, output, unguarded }: AppCommand) {
    const [file = '', ...args] = command;
    // Standard output is the linker's log: what the application writes goes to standard error, all of it.
    const written = output === undefined ? 2 : 'pipe';
    this.#child = spawn(file, args, { env: env as NodeJS.ProcessEnv, detached: true, stdio: ['ignore', written, written] });
    const child = this.#child;
    if (output !== undefined) takeOutput(child, output);
    this.exited = new Promise((resolve) => {
      // Also for later errors: a signal that could not be delivered is no reason to end.
      const failed = guard('application', (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined)
          resolve({
            code: error.code === 'EACCES' ? NOT_EXECUTABLE_CODE : NOT_FOUND_CODE,
            words: `could not be started: ${outOfFilesWords(error.code) ?? error.message}`,
          });
      });
      const ended = guard('application', (code: number | null, signal: NodeJS.Signals | null) => {
        const exit =
          signal === null
            ? { code: code ?? 0, words: `ended with code ${code ?? 0}` }
            : { code: 128 + constants.signals[signal], words: `was ended by ${signal}` };
        if (output === undefined) resolve(exit);
        else afterLastOutput(child, () => resolve(exit));
      });
      child.on('error', failed);
      child.once('exit', ended);
    });
    // After the application: it must not wait for its guard.
    this.#guard = child.pid === undefined ? null : new Guard(child.pid, mark, stopTimeoutMs, unguarded);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** To the application itself, not to its children. */
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

  /** All is gone: nothing is left to guard. */
  release(): void {
    this.#guard?.release();
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  async #stop(timeoutMs: number): Promise<void> {
    const overdue = guard('application', () => this.kill());
    const killer = setTimeout(overdue, timeoutMs);
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
    return this.pid !== undefined && this.#signalGroup(0) && groupLives(this.pid);
  }
}

function takeOutput(child: ChildProcess, output: AppOutputTaker): void {
  for (const from of ['stdout', 'stderr'] as const) {
    const took = guard('application', (text: string) => output(from, text));
    child[from]?.setEncoding('utf8').on('data', took);
    child[from]?.on('error', () => {});
  }
}

function afterLastOutput(child: ChildProcess, then: () => void): void {
  const done = guard('application', () => {
    clearTimeout(overdue);
    then();
  });
  const overdue = setTimeout(done, LAST_OUTPUT_MS);
  child.once('close', done);
}
