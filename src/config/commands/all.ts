/**
 * Every setting of every command: one table. A row is the flag, what it takes, its default and what it is for; flags,
 * environment, file, help and the types of the code follow from it.
 */
import { COMPLETION } from './completion.ts';
import { DEV } from './dev.ts';
import { DOCTOR } from './doctor.ts';
import { DRAIN } from './drain.ts';
import { EVENTS } from './events.ts';
import { FORGET } from './forget.ts';
import { INSPECT } from './inspect.ts';
import { JOBS } from './jobs.ts';
import { LINKER } from './linker.ts';
import { LOGS } from './logs.ts';
import { NODE } from './node.ts';
import { RELOAD } from './reload.ts';
import { ROUTES } from './route.ts';
import { SCALER } from './scaler.ts';
import { STATUS } from './status.ts';

export const COMMANDS = [
  DEV,
  NODE,
  LINKER,
  SCALER,
  STATUS,
  ROUTES,
  EVENTS,
  JOBS,
  LOGS,
  RELOAD,
  DRAIN,
  FORGET,
  INSPECT,
  DOCTOR,
  COMPLETION,
] as const;
