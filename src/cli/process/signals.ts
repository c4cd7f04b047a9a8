import { constants } from 'node:os';
import type { Log } from '../../log.ts';

const TO_LEAVE: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

/** SIGTERM, SIGINT and SIGQUIT (as in nginx), or `signals`: the first signal asks to leave gracefully, each further one to leave at once. */
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
 * By default, signals without a meaning for a server would end it, and SIGUSR1 would open Node's inspector on the loopback. Everybody who
 * reaches it (every container of a pod does) could run code here. So they are ignored from the beginning.
 */
export function ignoreSignals(): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {});
}

/** Logs such a signal. `meaningful`: signals with a meaning for this command. */
export function logIgnoredSignals(log: Log, meaningful: readonly NodeJS.Signals[] = []): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    if (!meaningful.includes(signal)) process.on(signal, () => log.info({ signal }, 'a signal without a meaning here was ignored'));
  }
}

/** SIGHUP from now on; one that comes before `each` is called counts then. */
export class Hangups {
  #came = false;
  #hear = (): void => {
    this.#came = true;
  };

  constructor() {
    process.on('SIGHUP', () => this.#hear());
  }

  each(hear: () => void): void {
    this.#hear = hear;
    if (this.#came) hear();
  }
}
