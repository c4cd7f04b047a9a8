#!/usr/bin/env node
/**
 * Chooses the command and loads only its module. In the package the linker's command is a file of its own (linker-bundle.ts), and all others are
 * another, in which a module is run when it is needed.
 */
import { unawaited } from '../boundary.ts';
import { type Run, runProgram } from './program.ts';

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

unawaited('unknown', runProgram(process.argv.slice(2), COMMANDS, PARTS));
