/** The consequences of a stream that ends too early, for its visit and for the instance. Pure, and the same for every protocol. */
import { ResetCode, type ResetCodeValue } from '../../link/frames.ts';

/** Streams that one visit may have, one after the other. */
export const ATTEMPTS_MAX = 3;

export type FailureCause =
  | 'application_refused'
  | 'application_broke_off'
  | 'application_bad_answer'
  /** It ended in order without a byte, and it is not known whether that was the response. */
  | 'application_silent'
  /** The link broke: that says nothing about the application. */
  | 'link_lost';

export interface StreamFailure<Cause extends FailureCause = FailureCause> {
  readonly cause: Cause;
  /** A byte of the request may have reached the application. */
  readonly reached: boolean;
  /** The application's connection had served before: the application may have closed it at the very moment of its reuse. */
  readonly reused: boolean;
}

/** A failed stream and its visit. */
export interface FailedStream<Cause extends FailureCause = FailureCause> extends StreamFailure<Cause> {
  /** The client has a part of the response. */
  readonly began: boolean;
  /** The same may be said twice (RFC 9110 section 9.2.2). */
  readonly safe: boolean;
  /** All that was said is still kept, to be said again. */
  readonly whole: boolean;
  /** The instance has yet to prove itself, and another one serves. */
  readonly unproven: boolean;
  /** Its protocol is not known here: an end without a word may be the right response to what the client said. */
  readonly opaque: boolean;
  /** Streams that the visit has had, this one included. */
  readonly attempts: number;
}

/** `here`: it waits for any slot, `elsewhere`: rather for one of another instance. Otherwise it can't go on, and that is why. */
export type Next<Cause extends FailureCause> = 'here' | 'elsewhere' | Cause;

export function causeOf(code: ResetCodeValue): 'link_lost' | 'application_refused' | 'application_broke_off' {
  if (code === ResetCode.LINK_LOST) return 'link_lost';
  return code === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off';
}

export function nextAfter<Cause extends FailureCause>(failed: FailedStream<Cause>): Next<Cause> {
  const { cause, reached, reused, began, safe, whole, unproven, attempts } = failed;
  if (began || !whole || attempts >= ATTEMPTS_MAX) return cause;
  // The failure of an instance that has never answered says nothing about the request.
  if (unproven && !reused && (safe || !reached)) return 'elsewhere';
  if (cause === 'application_silent') return cause;
  const isHarmless = !reached || (safe && (reused || cause === 'link_lost'));
  return isHarmless ? 'here' : cause;
}

/** The judgement on the instance: one `failed` is enough, `doubtful` ones count together. */
export function blameFor({ cause, reused, began, opaque }: FailedStream): 'failed' | 'doubtful' | null {
  if (began || reused || cause === 'link_lost') return null;
  return opaque && cause !== 'application_refused' ? 'doubtful' : 'failed';
}
