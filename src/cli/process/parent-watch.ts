/** Watches whether the process that started this one still lives. */
import { readFileSync } from 'node:fs';
import { guard } from '../../boundary.ts';

const LOOK_MS = 500;

/**
 * Calls `died` once when the process that started this one has ended, for example npm or a shell that was killed: this process must not
 * outlive it. With a session of its own (setsid), as under a service manager or in a container, it may outlive it.
 * Without sessions in /proc nothing is watched. nohup makes no difference, because Node undoes that SIGHUP is ignored.
 */
export function watchParent(died: () => void): void {
  const parent = process.ppid;
  if (parent <= 1 || hasOwnSession()) return;
  const look = guard('timer', () => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    died();
  });
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
}

function hasOwnSession(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    // State, parent, group, session (proc(5)).
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === process.pid;
  } catch {
    return true;
  }
}
