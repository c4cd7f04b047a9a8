/** The frame around every command: which one it is, errors in words, output that is written before the process ends, the exit code. */
import { ConfigError } from '../errors.ts';
import { closeLog } from '../log.ts';
import { printable, printableLines } from '../printable.ts';
import { refusalText } from './process/refusal.ts';
import { ignoreSignals } from './process/signals.ts';
import { boundYoungGeneration } from './process/young-generation.ts';

/** Gets the words after the command's name, runs until the work is done and returns the exit code. */
export type Run = (argv: readonly string[]) => Promise<number>;

export type Commands = Readonly<Record<string, () => Promise<Run>>>;

/** These commands run until they are told to end. */
const SERVERS: ReadonlySet<string> = new Set(['dev', 'node', 'linker', 'scaler', 'worker']);

/** From `engines` in package.json, about which npm only warns. */
const NODE_MAJOR_MIN = 24;

/** These commands start processes, whose orphans the first process of a container must collect. */
const STARTS_PROCESSES = new Set(['dev', 'linker', 'scaler']);

/** Runs the command that `argv` begins with, and exits. `parts`: commands that no user is told of. */
export async function runProgram(argv: readonly string[], commands: Commands, parts: Commands = {}): Promise<never> {
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
    console.error(`pullproxy: this is Node ${process.versions.node}: expected Node ${NODE_MAJOR_MIN} or newer, https://nodejs.org/`);
    process.exit(2);
  }
  // `pullproxy status | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A server goes on when its output has no reader.
    if (!SERVERS.has(argv[0] ?? '')) process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  process.stderr.on('error', () => {});
  const exitCode = await main(argv, commands, parts);
  await closeLog();
  // Output to a pipe may still wait here, and would be lost.
  await Promise.all([process.stdout, process.stderr].map(written));
  process.exit(exitCode);
}

async function main([name, ...argv]: readonly string[], commands: Commands, parts: Commands): Promise<number> {
  if (name === '--version' || name === '-V' || name === 'version') {
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
  const load = Object.hasOwn(commands, name) ? commands[name] : Object.hasOwn(parts, name) ? parts[name] : undefined;
  if (load === undefined) {
    console.error(
      `pullproxy: "${printable(name)}": expected a command, one of ${Object.keys(commands).join(', ')}. "pullproxy --help" says more.`,
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
