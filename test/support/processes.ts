/**
 * pullproxy's own commands as processes, as a user runs them: `node MAIN ...`.
 * Processes that a test file leaves behind are killed when the file ends, grandchildren too: each process runs in a directory
 * of this file's own, which its descendants inherit even where they inherit nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll } from '@jest/globals';
import { COMPILE_CACHE } from './compile-cache.ts';
import { PATIENCE } from './patience.ts';
import { MAIN } from './program-path.ts';

const READY_TIMEOUT_MS = 110_000;
const STOP_TIMEOUT_MS = 40_000;

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-test-'));

/** A directory of this file's own: what a test starts in it by itself is killed with the rest. */
export function ownDirectory(): string {
  return mkdtempSync(join(directory, 'own-'));
}

export type LogLine = Readonly<Record<string, unknown>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  /** Added to PATH and HOME; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  /** The entry of an installed package, instead of the source's. */
  readonly main?: string;
  /** A program that runs it, as `ip netns exec NAME` does. */
  readonly within?: readonly string[];
}

export interface Running {
  readonly pid: number;
  /** The line `"msg":"ready"` with the bound addresses. */
  readonly ready: LogLine;
  /** Every JSON line so far, growing. */
  readonly logs: readonly LogLine[];
  /** Everything else that was written to stdout or stderr so far. */
  readonly text: () => string;
  readonly exit: Promise<Exit>;
  /** Resolves with the first line, past or to come, that `matches`. */
  logged(matches: (line: LogLine) => boolean, withinMs?: number): Promise<LogLine>;
  /** Asks it to leave (SIGTERM) and resolves when it has. */
  stop(): Promise<Exit>;
  /** Sends a signal to this process alone: SIGKILL, SIGSTOP, SIGCONT, SIGHUP. */
  kill(signal: NodeJS.Signals): void;
}

/** Starts a server command (`['node', '--listen', ...]`) and resolves when it serves. Rejects with its output when it does not. */
export async function startProcess(args: readonly string[], options: StartOptions = {}): Promise<Running> {
  const child = launch(args, options);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${process.execPath} could not be started`);
  const output = new Output(child, `pullproxy ${args.join(' ')}`);
  const ready = await output
    .logged((line) => line.msg === 'ready', READY_TIMEOUT_MS)
    .catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
  const kill = (signal: NodeJS.Signals): void => {
    // Without a throw when it has just ended.
    child.kill(signal);
  };
  return {
    pid,
    ready,
    logs: output.lines,
    text: () => output.text,
    exit: output.exit,
    logged: (matches, withinMs = 10_000) => output.logged(matches, withinMs * PATIENCE),
    kill,
    async stop() {
      kill('SIGTERM');
      const overdue = setTimeout(kill, STOP_TIMEOUT_MS, 'SIGKILL');
      return output.exit.finally(() => clearTimeout(overdue));
    },
  };
}

/** Runs a command that ends by itself (`['status', '--json']`). */
export async function runCommand(
  args: readonly string[],
  options: StartOptions = {},
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const child = launch(args, options);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  const exit = await exitOf(child).finally(() => clearTimeout(overdue));
  return { ...exit, stdout, stderr };
}

function launch(args: readonly string[], options: StartOptions): ChildProcess {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env };
  const [program = '', ...words] = [...(options.within ?? []), process.execPath, options.main ?? MAIN, ...args];
  return spawn(program, words, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      // Its last output is still on its way; but a child that outlives it may keep the pipe open for good.
      const patience = setTimeout(resolve, 500, { code, signal });
      child.once('close', () => {
        clearTimeout(patience);
        resolve({ code, signal });
      });
    });
  });
}

/** Splits what a process writes into JSON lines and other text, and tells who waits for a line. */
class Output {
  readonly lines: LogLine[] = [];
  readonly exit: Promise<Exit>;
  text = '';
  private readonly waiters = new Set<() => void>();
  private readonly title: string;
  private ended: Exit | null = null;

  constructor(child: ChildProcess, title: string) {
    this.title = title;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.take(line));
    }
    this.exit = exitOf(child).then((exit) => {
      this.ended = exit;
      this.wake();
      return exit;
    });
  }

  logged(matches: (line: LogLine) => boolean, withinMs: number): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        this.waiters.delete(look);
        finish();
      };
      const look = (): void => {
        const line = this.lines.find(matches);
        if (line) settle(() => resolve(line));
        else if (this.ended) settle(() => reject(this.complaint(`ended with ${this.ended?.code ?? this.ended?.signal}`)));
      };
      const timer = setTimeout(() => settle(() => reject(this.complaint(`said nothing like it in ${withinMs} ms`))), withinMs);
      this.waiters.add(look);
      look();
    });
  }

  private take(line: string): void {
    const parsed = parse(line);
    if (parsed) this.lines.push(parsed);
    else this.text += `${line}\n`;
    this.wake();
  }

  private wake(): void {
    for (const waiter of [...this.waiters]) waiter();
  }

  private complaint(what: string): Error {
    const last = this.lines.slice(-20).map((line) => JSON.stringify(line));
    return new Error(`${this.title} ${what}; its output:\n${last.join('\n')}\n${this.text.slice(-4000)}`);
  }
}

function parse(line: string): LogLine | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return null;
  }
}

afterAll(() => {
  killDescendants();
  rmSync(directory, { recursive: true, force: true });
});

/** By the working directory: a parent that was killed no longer names its children. */
function killDescendants(): void {
  if (!existsSync('/proc')) return;
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${entry}/cwd`).startsWith(directory)) process.kill(Number(entry), 'SIGKILL');
    } catch {
      // It ended meanwhile, or belongs to someone else.
    }
  }
}
