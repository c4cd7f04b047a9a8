/**
 * How many control frames a peer may send on a link. Every frame that is no payload of a living stream costs one, so that a flood of
 * them ends the link instead of taking the event loop from all other tenants.
 *
 * A legitimate peer does not reach it: its frames follow from streams (a few for each, which an OPEN pays for) and from slots (each
 * goes out and comes back; what this side returns or lends pays for what follows), and everything else is said about once a second.
 */
import { LinkProtocolError } from '../errors.ts';

/** For what follows from nothing: pings, recalls, frames that crossed the end of their stream. */
const FRAMES_PER_SECOND = 200;
/** The same for a moment: a link that was cut off for a while says everything at once. */
const FRAMES_AT_ONCE = 2_000;
/** Of each slot that the instance has: granted, recalled, reported as not movable and granted again, all within one turn. */
const FRAMES_PER_SLOT = 4;
/** A claimed concurrency is no licence to flood. */
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

  /** This side has done what the peer may answer with `frames` frames. */
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

/** Of a whole link, on which `slots` slots may lie. */
export function linkBudget(slots: number): FrameBudget {
  const counted = Math.min(slots, SLOTS_COUNTED_MAX);
  return new FrameBudget('control frames', FRAMES_AT_ONCE + FRAMES_PER_SLOT * counted, FRAMES_PER_SECOND + counted);
}

/**
 * Of the words that a node passes on to the cluster (STATE, RETIRE, START). A linker reports twice a second and with each change of its
 * state, of which an application that comes and goes makes 20 a second at most.
 */
export function clusterBudget(): FrameBudget {
  return new FrameBudget('reports and requests', 1_000, 50);
}
