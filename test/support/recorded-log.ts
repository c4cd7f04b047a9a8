import pino from 'pino';
import type { Log } from '../../src/log.ts';

export type LogLine = Readonly<Record<string, unknown>>;

/** A log that a test can read: its lines, growing. */
export function recordedLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  return { log, lines };
}
