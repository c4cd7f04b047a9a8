/** Times and limits of starts, for both directories. */

/** After this many failures in a row, starts of a route are tried less and less often, and clients are not held for them. */
export const failuresMax = 3;
/**
 * An instance that has been ready for this time has proved itself: its end is no failed start any more. It is the window in which systemd
 * counts starts (StartLimitIntervalSec).
 */
export const provedAfterMs = 10_000;
/** The first such pause; each further one is twice as long. */
export const retryFirstMs = 2_000;
export const retryLastMs = 60_000;
/** The kept length of a failure's reason. */
export const reasonCharsMax = 500;
/** Wanted instances lapse after this time: later they would surprise the operator. */
export const wantedLivesMs = 120_000;
/** A restart that has not replaced all instances by then ends. */
export const restartLivesMs = 600_000;
/** The window of `maxStartsPerMinute`. */
export const minuteMs = 60_000;
/** An instance that nobody has heard of for this time is lost: links break, and nodes die, and it links again within seconds. */
export const lostAfterMs = 30_000;
/** The ends of starts that wait for a scaler to count them, and how many it takes at once. */
export const endedMax = 1_000;
export const endedTakenMax = 100;
/** How long the begin of a start is known. */
export const begunLivesMs = 600_000;
