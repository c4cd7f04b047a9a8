/** Times and bounds of starts. Both implementations of the directory use these. */

/** After so many failures in a row a route's starts are tried less and less often, and nobody is held for them. */
export const failuresMax = 3;
/**
 * An instance that has been ready for so long has proved itself: its end is no failed start any more. The same window in which systemd
 * counts starts (StartLimitIntervalSec).
 */
export const provedAfterMs = 10_000;
/** The first such pause; each further one is twice as long. */
export const retryFirstMs = 2_000;
export const retryLastMs = 60_000;
/** Of a failure's reason, what is kept. */
export const reasonCharsMax = 500;
/** Instances that somebody asked for are wanted no longer than this: later they would come as a surprise. */
export const wantedLivesMs = 120_000;
/** A restart that has not replaced all instances by then is given up. */
export const restartLivesMs = 600_000;
/** The window of `maxStartsPerMinute`. */
export const minuteMs = 60_000;
/** When a start was begun is known for so long. */
export const begunLivesMs = 600_000;
