import { constants } from 'node:os';
import type { Log } from '../../log.ts';

const TO_LEAVE: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

/** SIGTERM, SIGINT and SIGQUIT (as nginx means it), or `signals`: the first one asks to leave gracefully, each further one to leave at once. */
export function onSignals(leave: (signal: NodeJS.Signals) => void, atOnce: (exitCode: number) => void, signals = TO_LEAVE): void {
  let leaving = false;
  for (const signal of signals) {
    process.on(signal, () => {
      if (leaving) return atOnce(128 + constants.signals[signal]);
      leaving = true;
      leave(signal);
    });
  }
}

/** Resolves with the first signal; the second one ends the process. */
export function firstSignal(): Promise<void> {
  return new Promise((resolve) =>
    onSignals(
      () => resolve(),
      (code) => process.exit(code),
    ),
  );
}

/**
 * Signals that mean nothing to a server would end it, and SIGUSR1 would open Node's inspector at a port of this machine's loopback: whoever
 * reaches that (every container of a pod does) runs code here. They are ignored from the first moment on.
 */
export function ignoreSignals(): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {});
}

/** Says in the log that such a signal came. `meaningful`: those that mean something to this command. */
export function logIgnoredSignals(log: Log, meaningful: readonly NodeJS.Signals[] = []): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    if (!meaningful.includes(signal)) process.on(signal, () => log.info({ signal }, 'a signal that means nothing here'));
  }
}
