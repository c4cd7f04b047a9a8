/**
 * Limits the control frames that a peer may send on a link. Every frame that is not payload of a living stream costs one, so that a flood
 * ends the link and does not take the event loop from other tenants.
 *
 * A legitimate peer does not reach it: its frames follow from streams (a few for each, which an OPEN pays for) and from slots (each
 * goes out and comes back; what this side returns or lends pays for what follows), and everything else is said about once a second.
 */
import { LinkProtocolError } from '../errors.ts';

/** For frames without a cause: pings, recalls, frames that crossed the end of their stream. */
export const FRAMES_PER_SECOND = 200;
/** The same at once: a link that was cut off for a while sends everything at once. */
export const FRAMES_AT_ONCE = 2_000;
/** For each slot of the instance: granted, recalled, reported as not movable and granted again, all within one turn. */
export const FRAMES_PER_SLOT = 4;
/** STATE, RETIRE and START. */
export const REPORTS_AT_ONCE = 1_000;
export const REPORTS_PER_SECOND = 50;
/** A large claimed concurrency must not allow a flood. */
const SLOTS_COUNTED_MAX = 10_000;
/** CONNECTED, END, RESET, and bytes and ends that cross a DONE on their way. */
export const FRAMES_PER_STREAM = 8;

export class FrameBudget {
  readonly #what: string;
  readonly #atOnce: number;
  readonly #perSecond: number;
  #left: number;
  #filledAt = performance.now();

  constructor(what: string, atOnce: number, perSecond: number) {
    this.#what = what;
    this.#atOnce = atOnce;
    this.#perSecond = perSecond;
    this.#left = atOnce;
  }

  /** @throws LinkProtocolError when it is used up. */
  spend(): void {
    if (--this.#left < 0) this.#fill();
  }

  /** This side has done something that the peer may answer with `frames` frames. */
  earn(frames: number): void {
    this.#left = Math.min(this.#atOnce, this.#left + frames);
  }

  #fill(): void {
    const now = performance.now();
    const frames = Math.floor(((now - this.#filledAt) / 1_000) * this.#perSecond);
    this.#left = Math.min(this.#atOnce, this.#left + frames);
    if (this.#left < 0)
      throw new LinkProtocolError(`too many ${this.#what}: more than ${this.#atOnce} at once and ${this.#perSecond} per second`);
    this.#filledAt = now;
  }
}

/** The budget of a whole link, on which `slots` slots may lie. */
export function linkBudget(slots: number): FrameBudget {
  const counted = Math.min(slots, SLOTS_COUNTED_MAX);
  return new FrameBudget('control frames', FRAMES_AT_ONCE + FRAMES_PER_SLOT * counted, FRAMES_PER_SECOND + counted);
}

/**
 * The budget of frames that a node passes on to the cluster (STATE, RETIRE, START). A linker reports twice a second and with each change of its
 * state, of which an application that comes and goes makes 20 a second at most.
 */
export function clusterBudget(): FrameBudget {
  return new FrameBudget('reports and requests', REPORTS_AT_ONCE, REPORTS_PER_SECOND);
}
