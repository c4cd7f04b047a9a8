/**
 * Runs the startup command: an argument vector given to the kernel, never to a shell, so that nothing in a route's name
 * can become a command of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { guard } from '../boundary.ts';
import type { OutputFile } from './output-files.ts';
import { OutputTail } from './output-tail.ts';

/** What the command is told about this start, in its arguments and in its environment. */
export interface CommandValues {
  readonly route: string;
  readonly startId: string;
  /** The instance that has left; absent when one is to be started. */
  readonly instance?: string;
  /** Instances that there should be in the end. */
  readonly desired: number;
  /** Instances that this run of the command is to start. */
  readonly count: number;
  readonly held: number;
  readonly ready: number;
}

export interface CommandLimits {
  /** After this the command's whole process group is ended. */
  readonly timeoutMs: number;
  /** The environment to which the values are added; nothing of our own process's environment is passed on by itself. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the output only the end is kept: an error's last lines say most. */
  readonly outputBytesMax: number;
  /** Where it writes to, so that what it leaves running depends on nothing here; without it, pipes. */
  readonly outputFile?: OutputFile | null;
  /** Ends the command's process group, as the timeout does. */
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** Null when the command was ended by a signal or never ran. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  /** The last lines of stdout and stderr, in the order in which they came. */
  readonly output: string;
  readonly durationMs: number;
  /** What went wrong, naming the command; null when it exited with 0. */
  readonly failure: string | null;
}

/** Between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 2_000;
/** How long output is waited for after the exit: a child that went to the background keeps the pipes open for ever. */
const OUTPUT_GRACE_MS = 100;

/** Never rejects: a command that can't be run at all is a result as well. */
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

/** Replaces the known placeholders and nothing else: JSON in an argument keeps its braces. One pass, so values are not searched again. */
function fillIn(argument: string, values: CommandValues): string {
  const known: Readonly<Record<string, string | number>> = {
    '{route}': values.route,
    '{start_id}': values.startId,
    '{instance}': values.instance ?? '',
    '{desired}': values.desired,
    '{count}': values.count,
  };
  return argument.replace(/\{(?:route|start_id|instance|desired|count)\}/g, (placeholder) => String(known[placeholder]));
}

function commandEnvironment(values: CommandValues, env: Readonly<Record<string, string>>): Record<string, string> {
  return {
    ...env,
    ROUTE: values.route,
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
    // A process group of its own, so that a timeout reaches what the command has started, and a Ctrl-C at our terminal doesn't.
    child = spawn(file, args, { env, detached: true, stdio: ['ignore', to, to] });
  } catch (error) {
    // Node throws for what it refuses itself: an empty name, a NUL byte.
    return { exitCode: null, signal: null, endedFor: null, spawnError: error as NodeJS.ErrnoException };
  }
  // Without a descriptor for them Node makes no pipes at all, and says so by an 'error'.
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
  // The leader had its grace; what it left behind in its group has no more.
  if (endedFor !== null) signalGroup(child, 'SIGKILL');
  await Promise.all(pipes.map(lastOutput));
  return { ...end, endedFor };
}

function exitOf(child: ChildProcess): Promise<Pick<CommandEnd, 'exitCode' | 'signal' | 'spawnError'>> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal, spawnError: null }));
    child.on('error', (spawnError) => {
      // Later errors (a signal that could not be delivered) leave the exit to tell the end.
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, spawnError });
    });
  });
}

/**
 * Resolves when the pipe has ended, or a little after the exit when somebody still holds it: `linker &` in a script does.
 * Such a pipe is read on and thrown away, for closing it would kill its writer at its next line.
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
    // ESRCH: nobody of the group is left.
  }
}

function describeFailure(name: string, end: CommandEnd, timeoutMs: number): string | null {
  const { exitCode, signal, endedFor, spawnError } = end;
  if (spawnError?.code === 'ENOENT') return `${name} was not found: give its full path, or see that the scaler's PATH has it`;
  if (spawnError?.code === 'EACCES') return `${name} may not be run: it is not executable for this user`;
  if (spawnError) return `${name} could not be run: ${spawnError.message}`;
  if (endedFor === 'timeout') return `${name} did not end within ${timeoutMs} ms and was stopped`;
  if (endedFor === 'abort') return `${name} was stopped`;
  if (signal !== null) return `${name} was ended by ${signal}`;
  return exitCode === 0 ? null : `${name} exited with ${exitCode}`;
}
