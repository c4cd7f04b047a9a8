/** Times and limits of starts, for both directories. */

/** After this many failures in a row, starts of a route are tried less and less often, and clients are not held for them. */
export const FAILURES_MAX = 3;
/**
 * An instance that has been ready for this time has proved itself: its end is no failed start any more. It is the window in which systemd
 * counts starts (StartLimitIntervalSec).
 */
export const PROVED_AFTER_MS = 10_000;
/** The first such pause; each further one is twice as long. */
export const RETRY_FIRST_MS = 2_000;
export const RETRY_LAST_MS = 60_000;
/** The kept length of a failure's reason. */
export const REASON_CHARS_MAX = 500;
/** Wanted instances lapse after this time: later they would surprise the operator. */
export const WANTED_LIVES_MS = 120_000;
/** A restart that has not replaced all instances by then ends. */
export const RESTART_LIVES_MS = 600_000;
/** The window of `maxStartsPerMinute`. */
export const MINUTE_MS = 60_000;
/** An instance that nobody has heard of for this time is lost: links break, and nodes die, and it links again within seconds. */
export const LOST_AFTER_MS = 30_000;
/** The ends of starts that wait for a scaler to count them, and how many it takes at once. */
export const ENDED_MAX = 1_000;
export const ENDED_TAKEN_MAX = 100;
/** How long the begin of a start is known. */
export const BEGUN_LIVES_MS = 600_000;
