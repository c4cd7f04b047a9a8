/** Whether the process that started this one still lives. */
import { readFileSync } from 'node:fs';
import { guard } from '../../boundary.ts';

const LOOK_MS = 500;

/**
 * Calls `died` once when the process that started this one has ended, as npm or a shell does that was killed: what it had started is not to
 * outlive it. Somebody who gave this process a session of its own (setsid) does not want that, nor does a service manager or a container.
 * Where /proc says nothing of sessions, nothing is watched. nohup makes no difference: Node takes back that SIGHUP is ignored.
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
