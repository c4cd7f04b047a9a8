#!/usr/bin/env node
/**
 * Chooses the command and loads only its module. A linker starts with each instance, so its start-up time is part of
 * the wait of a client.
 */
import { ConfigError } from '../errors.ts';
import { closeLog } from '../log.ts';
import { printable, printableLines } from '../printable.ts';
import { refusalText } from './process/refusal.ts';
import { ignoreSignals } from './process/signals.ts';
import { boundYoungGeneration } from './process/young-generation.ts';

/** Gets the words after the command's name, runs until the work is done and returns the exit code. */
export type Run = (argv: readonly string[]) => Promise<number>;

const COMMANDS: Readonly<Record<string, () => Promise<Run>>> = {
  dev: async () => (await import('./commands/dev.ts')).dev,
  node: async () => (await import('./commands/node.ts')).node,
  linker: async () => (await import('./commands/linker.ts')).linker,
  scaler: async () => (await import('./commands/scaler.ts')).scaler,
  status: async () => (await import('./commands/status.ts')).status,
  route: async () => (await import('./commands/route.ts')).route,
  events: async () => (await import('./commands/events.ts')).events,
  forget: async () => (await import('./commands/forget.ts')).forget,
  drain: async () => (await import('./commands/drain.ts')).drain,
  inspect: async () => (await import('./commands/inspect.ts')).inspect,
  completion: async () => (await import('./commands/completion.ts')).completion,
};

/** Internal commands, which other commands and the container image start. */
const PARTS: Readonly<Record<string, () => Promise<Run>>> = {
  health: async () => (await import('./commands/health.ts')).health,
  worker: async () => (await import('./workers/worker.ts')).worker,
};

/** These commands run until they are told to end. */
const SERVERS: ReadonlySet<string> = new Set(['dev', 'node', 'linker', 'scaler', 'worker']);

/** From `engines` in package.json, about which npm only warns. */
const NODE_MAJOR_MIN = 24;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  console.error(`pullproxy: this is Node ${process.versions.node}: expected Node ${NODE_MAJOR_MIN} or newer, https://nodejs.org/`);
  process.exit(2);
}

/** These commands start processes, whose orphans the first process of a container must collect. */
const STARTS_PROCESSES = new Set(['dev', 'linker', 'scaler']);

// `pullproxy status | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A server goes on when its output has no reader.
  if (!SERVERS.has(process.argv[2] ?? '')) process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.stderr.on('error', () => {});
const exitCode = await main(process.argv.slice(2));
await closeLog();
// Output to a pipe may still wait here, and would be lost.
await Promise.all([process.stdout, process.stderr].map(written));
process.exit(exitCode);

async function main([name, ...argv]: readonly string[]): Promise<number> {
  if (name === '--version') {
    const { readVersion } = await import('../config/version.ts');
    console.log(readVersion());
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const { programHelp } = await import('./help/help.ts');
    const asked = name !== undefined;
    (asked ? console.log : console.error)(programHelp());
    return asked ? 0 : 2;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (load === undefined) {
    console.error(
      `pullproxy: "${printable(name)}": expected a command, one of ${Object.keys(COMMANDS).join(', ')}. "pullproxy --help" says more.`,
    );
    return 2;
  }
  if (SERVERS.has(name)) ignoreSignals();
  if (name === 'node') boundYoungGeneration();
  if (process.pid === 1 && STARTS_PROCESSES.has(name)) (await import('./process/init.ts')).runUnderInit(process.argv.slice(1));
  try {
    const run = await load();
    return await run(argv);
  } catch (error) {
    return failure(name, error);
  }
}

function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

/** 2: the command line is wrong. 1: something else is. */
function failure(name: string, error: unknown): number {
  if (error instanceof ConfigError) {
    console.error(`pullproxy ${name}: can't start:`);
    for (const problem of error.problems) console.error(`  ${printableLines(problem)}`);
    console.error(`"pullproxy ${name} --help" explains every setting.`);
    return 2;
  }
  // Other errors are our bugs.
  const fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.error(`pullproxy ${name}: ${printableLines(refusalText(error) ?? fault)}`);
  return 1;
}
