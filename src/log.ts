import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';

export type Log = pino.Logger;

/** JSON lines on stdout. Secrets are never passed to it. */
export function createLog(name: string, level = 'info'): Log {
  return pino({ name, level, timestamp: pino.stdTimeFunctions.isoTime });
}

/** The kernel takes this much in one piece (PIPE_BUF): lines of several processes, or of the log, do not end up inside each other. */
const WRITE_BYTES_MAX = 4_096;
/** Fewer bytes wait for FLUSH_MS. */
const FLUSH_BYTES = 2_048;
const FLUSH_MS = 250;
/** What waits for a slow disk or reader; further lines are dropped. */
const WAITING_BYTES_MAX = 4 * 1_048_576;
/** At the end: how long what still waits may take. */
const CLOSE_MS = 2_000;

export interface LineFile {
  /** One line with its newline. Never blocks; what does not fit is dropped. */
  write(line: string): void;
  /** Lines that were dropped. */
  readonly dropped: number;
  /** Resolves when everything is written, or could not be in CLOSE_MS. */
  close(): Promise<void>;
}

/**
 * Appends lines to a file, or to stdout, off the event loop's way. `failed` is told when it can't be written to any more (disk full), once until
 * it can be again.
 * @throws Error when the file can't be opened
 */
export function openLineFile(target: 'stdout' | { readonly path: string }, failed: (error: Error) => void): LineFile {
  // Opened once to see whether it can be: pino opens it later, when nobody listens any more.
  if (target !== 'stdout') closeSync(openSync(target.path, 'a'));
  const destination = pino.destination({
    dest: target === 'stdout' ? 1 : target.path,
    sync: false,
    minLength: FLUSH_BYTES,
    maxLength: WAITING_BYTES_MAX,
    maxWrite: WRITE_BYTES_MAX,
    periodicFlush: FLUSH_MS,
  });
  let dropped = 0;
  let failing = false;
  let closing = false;
  destination.on('drop', () => {
    dropped++;
  });
  destination.on('write', () => {
    failing = false;
  });
  destination.on('error', (error: Error) => {
    if (!failing) failed(error);
    failing = true;
  });
  return {
    write(line) {
      // What ends after the end is not written.
      if (!closing) destination.write(line);
    },
    get dropped() {
      return dropped;
    },
    async close() {
      closing = true;
      const closed = new Promise((resolve) => destination.once('close', resolve));
      destination.end();
      await Promise.race([closed, delay(CLOSE_MS, undefined, { ref: false })]);
    },
  };
}
