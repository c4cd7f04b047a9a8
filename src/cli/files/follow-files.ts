/** Files that are replaced while a process runs. */
import { statSync } from 'node:fs';
import { guard } from '../../boundary.ts';

/** How often to check. Polling also works when a link is replaced (Kubernetes secrets), or when there are no events (network file systems). */
const LOOK_EVERY_MS = 1_000;

/** Calls `changed` after any file of `paths` has changed. Does not keep the process alive. */
export function followFiles(paths: () => readonly string[], changed: () => void): void {
  let seen = fingerprint(paths);
  const look = guard('file', () => {
    const now = fingerprint(paths);
    if (now === seen) return;
    seen = now;
    changed();
  });
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
}

function fingerprint(paths: () => readonly string[]): string {
  try {
    return paths().map(fingerprintOf).join('\n');
  } catch (error) {
    return String(error);
  }
}

/** Another one for a file that has changed, and for one that is there no longer. */
export function fingerprintOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? path : `${path} ${stat.mtimeMs} ${stat.ino} ${stat.size}`;
}
