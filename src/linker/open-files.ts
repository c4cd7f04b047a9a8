/** File descriptors: each slot in use takes one for the application's connection, and the linker needs some for itself. */
import { readFileSync } from 'node:fs';

/** Kept for links to nodes, names that are looked up, logs and the application's start. With a low limit it is a part of it. */
const KEPT_BACK = 128;
const KEPT_BACK_LEAST = 24;

/** How many slots fit into the limit of open files; `limit` null: it is not known. */
export function affordableSlots(concurrency: number, limit: number | null): number {
  if (limit === null) return concurrency;
  const keptBack = Math.min(KEPT_BACK, KEPT_BACK_LEAST + Math.floor(limit / 4));
  return Math.min(concurrency, Math.max(1, limit - keptBack));
}

/** This process's limit of open files; null where the system does not say it. */
export function openFilesLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/** Such an error in words that name nobody else; null: it is another error. */
export function outOfFilesWords(code: string | undefined): string | null {
  if (code === 'EMFILE')
    return `this process is out of file descriptors: raise its limit (ulimit -n, LimitNOFILE=), now ${openFilesLimit() ?? 'unknown'}`;
  return code === 'ENFILE' ? 'this machine is out of file descriptors (fs.file-max)' : null;
}
