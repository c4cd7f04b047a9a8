/**
 * Runs the startup command: an argument vector for the kernel, never for a shell, so that nothing in a route's name
 * can become a command.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { guard } from '../boundary.ts';
import { nameParts, slugOf } from '../config/route-key.ts';
import type { OutputFile } from './output-files.ts';
import { OutputTail } from './output-tail.ts';

/** The facts of this start, in the arguments and in the environment of the command. */
export interface CommandValues {
  /** Or the name of a route's key. */
  readonly route: string;
  readonly startId: string;
  /** The instance that has left; absent for a startup command. */
  readonly instance?: string;
  /** How many instances there should be. */
  readonly desired: number;
  /** How many instances this run of the command should start. */
  readonly count: number;
  readonly held: number;
  readonly ready: number;
}

export interface CommandLimits {
  /** After this the command's whole process group is ended. */
  readonly timeoutMs: number;
  /** The environment to which the values are added. The environment of this process is not passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** Only the end of the output is kept: the last lines of an error say most. */
  readonly outputBytesMax: number;
  /** The files for its output, so that programs that it leaves running do not depend on this process; without them, pipes. */
  readonly outputFile?: OutputFile | null;
  /** Ends the process group of the command, like the timeout. */
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** Null when a signal ended the command, or it never ran. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  /** The last lines of stdout and stderr, in their order. */
  readonly output: string;
  readonly durationMs: number;
  /** The failure, with the name of the command; null when it exited with 0. */
  readonly failure: string | null;
}

/** Between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 2_000;
/** How long to wait for output after the exit: a child in the background keeps the pipes open for ever. */
const OUTPUT_GRACE_MS = 100;

/** Never rejects: a command that can't be run is a result too. */
export async function runCommand(argv: readonly string[], values: CommandValues, limits: CommandLimits): Promise<CommandResult> {
  const begun = performance.now();
  const [file = '', ...args] = argv.map((argument) => fillIn(argument, values));
  const output = new OutputTail(limits.outputBytesMax);
  const end = await spawnAndWait(file, args, commandEnvironment(values, limits.env), limits, output);
  return {
    exitCode: end.exitCode,
    signal: end.signal,
    timedOut: end.endedFor === 'timeout',
    output: limits.outputFile?.tail(limits.outputBytesMax) ?? output.text(),
    durationMs: Math.round(performance.now() - begun),
    failure: describeFailure(`${values.instance === undefined ? 'startup' : 'stop'} command "${file}"`, end, limits.timeoutMs),
  };
}

/** Replaces the known placeholders and nothing else: JSON in an argument keeps its braces. It is one pass, so values are not searched again. */
function fillIn(argument: string, values: CommandValues): string {
  const { route, key } = nameParts(values.route);
  const known: Readonly<Record<string, string | number>> = {
    '{route}': route,
    '{key}': key ?? '',
    '{slug}': slugOf(values.route),
    '{start_id}': values.startId,
    '{instance}': values.instance ?? '',
    '{desired}': values.desired,
    '{count}': values.count,
  };
  return argument.replace(/\{(?:route|key|slug|start_id|instance|desired|count)\}/g, (placeholder) => String(known[placeholder]));
}

function commandEnvironment(values: CommandValues, env: Readonly<Record<string, string>>): Record<string, string> {
  const { route, key } = nameParts(values.route);
  return {
    ...env,
    ROUTE: route,
    SLUG: slugOf(values.route),
    // As the start id below.
    ...(key === null ? {} : { KEY: key, PULLPROXY_KEY: key }),
    START_ID: values.startId,
    DESIRED: String(values.desired),
    COUNT: String(values.count),
    HELD: String(values.held),
    READY: String(values.ready),
    ...(values.instance === undefined ? {} : { INSTANCE: values.instance }),
    // A linker that the command starts as its own child reports it by this name.
    PULLPROXY_START_ID: values.startId,
  };
}

interface CommandEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly endedFor: 'timeout' | 'abort' | null;
  readonly spawnError: NodeJS.ErrnoException | null;
}

async function spawnAndWait(
  file: string,
  args: readonly string[],
  env: Record<string, string>,
  { timeoutMs, outputFile, signal }: CommandLimits,
  output: OutputTail,
): Promise<CommandEnd> {
  const to = outputFile?.descriptor ?? 'pipe';
  let child: ChildProcess;
  try {
    // A process group of its own, so that a timeout reaches the children of the command, and Ctrl-C at our terminal does not.
    child = spawn(file, args, { env, detached: true, stdio: ['ignore', to, to] });
  } catch (error) {
    // Node throws when it refuses a value itself: an empty name, a NUL byte.
    return { exitCode: null, signal: null, endedFor: null, spawnError: error as NodeJS.ErrnoException };
  }
  // Without file descriptors Node makes no pipes, and emits 'error'.
  const pipes = [child.stdout, child.stderr].filter((pipe) => pipe instanceof Readable);
  const wrote = guard('command', (bytes: Buffer) => output.add(bytes));
  for (const pipe of pipes) pipe.on('data', wrote);

  let endedFor: CommandEnd['endedFor'] = null;
  let killTimer: NodeJS.Timeout | undefined;
  const endGroup = (why: 'timeout' | 'abort'): void => {
    if (endedFor !== null) return;
    endedFor = why;
    signalGroup(child, 'SIGTERM');
    const kill = guard('command', () => signalGroup(child, 'SIGKILL'));
    killTimer = setTimeout(kill, TERM_GRACE_MS);
  };
  const onAbort = (): void => endGroup('abort');
  const overdue = guard('command', () => endGroup('timeout'));
  const timeout = setTimeout(overdue, timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();

  const end = await exitOf(child);
  clearTimeout(timeout);
  clearTimeout(killTimer);
  signal?.removeEventListener('abort', onAbort);
  // The leader had its grace period; other processes in its group get none.
  if (endedFor !== null) signalGroup(child, 'SIGKILL');
  await Promise.all(pipes.map(lastOutput));
  return { ...end, endedFor };
}

function exitOf(child: ChildProcess): Promise<Pick<CommandEnd, 'exitCode' | 'signal' | 'spawnError'>> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal, spawnError: null }));
    child.on('error', (spawnError) => {
      // Later errors (a signal that could not be delivered) do not matter: the exit tells the end.
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, spawnError });
    });
  });
}

/**
 * Resolves when the pipe has ended, or a little after the exit when a process still holds it, such as `linker &` in a script.
 * Such a pipe is read on and its bytes are dropped, because closing it would kill the writer at its next line.
 */
function lastOutput(pipe: Readable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      pipe.removeAllListeners('data');
      pipe.resume();
      if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
      resolve();
    };
    const timer = setTimeout(done, OUTPUT_GRACE_MS);
    if (pipe.closed) done();
    else pipe.once('close', done);
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // ESRCH: the group has no process any more.
  }
}

function describeFailure(name: string, end: CommandEnd, timeoutMs: number): string | null {
  const { exitCode, signal, endedFor, spawnError } = end;
  if (spawnError?.code === 'ENOENT') return `${name} was not found: give its full path, or add its folder to the scaler's PATH`;
  if (spawnError?.code === 'EACCES') return `${name} could not be run: it is not executable for this user`;
  if (spawnError) return `${name} could not be run: ${spawnError.message}`;
  if (endedFor === 'timeout') return `${name} did not end within ${timeoutMs} ms and was stopped`;
  if (endedFor === 'abort') return `${name} was stopped`;
  if (signal !== null) return `${name} was ended by ${signal}`;
  return exitCode === 0 ? null : `${name} exited with ${exitCode}`;
}
