import pino from 'pino';

export type Log = pino.Logger;

/** JSON lines on stdout. Secrets are never passed to it. */
export function createLog(name: string, level = 'info'): Log {
  return pino({ name, level, timestamp: pino.stdTimeFunctions.isoTime });
}
