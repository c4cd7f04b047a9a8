#!/usr/bin/env node
/**
 * Chooses the command and loads only its module. A linker starts with each instance, so its start-up time is part of
 * the wait of a client: in the package its command is one file, which needs neither the module loader nor this program's other modules.
 */
import { createRequire, enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Run } from './program.ts';

const COMMANDS: Readonly<Record<string, () => Promise<Run>>> = {
  dev: async () => (await import('./commands/dev.ts')).dev,
  node: async () => (await import('./commands/node.ts')).node,
  linker: async () => (await import('./commands/linker.ts')).linker,
  scaler: async () => (await import('./commands/scaler.ts')).scaler,
  status: async () => (await import('./commands/status.ts')).status,
  route: async () => (await import('./commands/route.ts')).route,
  events: async () => (await import('./commands/events.ts')).events,
  jobs: async () => (await import('./commands/jobs.ts')).jobs,
  logs: async () => (await import('./commands/logs.ts')).logs,
  forget: async () => (await import('./commands/forget.ts')).forget,
  reload: async () => (await import('./commands/reload.ts')).reload,
  drain: async () => (await import('./commands/drain.ts')).drain,
  inspect: async () => (await import('./commands/inspect.ts')).inspect,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  completion: async () => (await import('./commands/completion.ts')).completion,
};

/** Internal commands, which other commands and the container image start. */
const PARTS: Readonly<Record<string, () => Promise<Run>>> = {
  health: async () => (await import('./commands/health.ts')).health,
  worker: async () => (await import('./workers/worker.ts')).worker,
};

const BUNDLE = './linker.cjs';

if (process.argv[2] !== 'linker' || !runBundle()) {
  const { runProgram } = await import('./program.ts');
  await runProgram(process.argv.slice(2), COMMANDS, PARTS);
}

/** False: this is no package, but its source. */
function runBundle(): boolean {
  const require = createRequire(import.meta.url);
  try {
    require.resolve(BUNDLE);
  } catch {
    return false;
  }
  // In the package's own directory: who may write there may also change the code. Where nobody may, there is none.
  enableCompileCache(fileURLToPath(new URL('../compile-cache', import.meta.url)));
  require(BUNDLE);
  return true;
}
