/** Below all boundaries: an error that no boundary catches ends the process in order, or ends nothing. */
import { BrokenInvariant, internalError, reportInternalErrors } from '../../boundary.ts';
import type { Log } from '../../log.ts';

/** EX_SOFTWARE (sysexits.h): an internal error ended the process. Its supervisor starts it again. */
export const INTERNAL_ERROR_CODE = 70;
/** Limit of the drain after an internal error: requests that still work are finished. */
export const SHORT_DRAIN_MS = 5_000;
/** From the error to the end of the process, if the drain itself hangs. */
const END_MS_MAX = 15_000;

export interface LastResort {
  /** Resolves when the process has to end because of an internal error. */
  readonly broken: Promise<void>;
  /** How long the drain may take; `usualMs` is the limit after a signal. */
  drainMs(usualMs: number): number;
  /** `code`, or INTERNAL_ERROR_CODE when it ends because of an internal error. */
  exitCode(code: number): number;
}

/**
 * An exception outside every boundary may have interrupted our code, or Node's, anywhere: slots could be counted wrong from now on. So the
 * process drains and ends (HAProxy and Envoy abort in this case; a drain loses less). A rejected promise that nothing awaits has interrupted only
 * its own chain, and no slot is counted in asynchronous code. So the process goes on.
 */
export function installLastResort(log: Log): LastResort {
  const broken = Promise.withResolvers<void>();
  let isBroken = false;
  const end = (why: string): void => {
    if (isBroken) return;
    isBroken = true;
    process.exitCode = INTERNAL_ERROR_CODE;
    log.fatal({ why, exitCode: INTERNAL_ERROR_CODE, drainMs: SHORT_DRAIN_MS }, 'the process ends because of an internal error');
    setTimeout(() => process.exit(INTERNAL_ERROR_CODE), END_MS_MAX).unref();
    broken.resolve();
  };
  reportInternalErrors(log, (error) => end(error.message));
  process.on('uncaughtException', (error: unknown) => {
    internalError('unknown', error);
    if (!(error instanceof BrokenInvariant)) end('an exception that no boundary caught');
  });
  process.on('unhandledRejection', (reason: unknown) => internalError('unknown', reason));
  return {
    broken: broken.promise,
    drainMs: (usualMs) => (isBroken ? Math.min(usualMs, SHORT_DRAIN_MS) : usualMs),
    exitCode: (code) => (isBroken ? INTERNAL_ERROR_CODE : code),
  };
}
