/** Watches whether the process that started this one still lives. */
import { readFileSync } from 'node:fs';
import { guard } from '../../boundary.ts';

const LOOK_MS = 500;

/**
 * Calls `died` once when the process that started this one has ended, for example npm or a shell that was killed: this process must not
 * outlive it. A shell between (`sh -c`, as npm has) lives on when npm is killed, so that npm itself is watched, too. With a session of its own (setsid), as under a service manager or in a container, it may outlive it.
 * Without sessions in /proc nothing is watched. nohup makes no difference, because Node undoes that SIGHUP is ignored.
 */
export function watchParent(died: () => void): void {
  const parent = process.ppid;
  if (parent <= 1 || hasOwnSession()) return;
  const above = isCommandShell(parent) ? parentOf(parent) : null;
  const look = guard('timer', () => {
    if (process.ppid === parent && (above === null || parentOf(parent) === above)) return;
    clearInterval(timer);
    died();
  });
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
}

function hasOwnSession(): boolean {
  const session = statOf('self')?.[3];
  return session === undefined || session === process.pid;
}

/** Null: unknown, or there is no such process any more. */
function parentOf(pid: number): number | null {
  return statOf(pid)?.[1] ?? null;
}

/** State (no number), parent, group, session (proc(5)). */
function statOf(pid: number | 'self'): number[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
  } catch {
    return null;
  }
}

/** A shell that runs one command for somebody else, without a person. */
function isCommandShell(pid: number): boolean {
  try {
    const [program = '', option] = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return /(^|\/)(da|ba|z|k|a)?sh$/.test(program) && option === '-c';
  } catch {
    return false;
  }
}
