/** Estimates the directory's clock from its responses, so that ages at different nodes can be compared without trusting the nodes' clocks. */

import type { Log } from '../../log.ts';
import { CLOCK_STEP_MS } from '../limits.ts';

export function monotonicMs(): number {
  return performance.now();
}

/** After this time a worse sample replaces a better one: clocks drift. */
const SAMPLE_MS_MAX = 10_000;

/** A clock that differs by less from the directory's is right enough. */
const DIFFERENCE_MS_MAX = 10_000;
const SAID_MS = 60_000;

/** Says when this host's clock and the directory's are far apart. */
export class ClockComparison {
  readonly #log: Log;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `now`: the directory's time. */
  compare(now: number): void {
    const differenceMs = Math.round(Date.now() - now);
    if (Math.abs(differenceMs) < DIFFERENCE_MS_MAX || performance.now() - this.#saidAt < SAID_MS) return;
    this.#saidAt = performance.now();
    this.#log.warn({ differenceMs }, 'the clocks are far apart');
  }
}

export class DirectoryClock {
  #offset = 0;
  #uncertaintyMs = Number.POSITIVE_INFINITY;
  #sampledAt = 0;

  /** A reply that came at `receivedAt` to a request of `sentAt` (local monotonic ms) said `directoryMs`. */
  sample(directoryMs: number, sentAt: number, receivedAt: number): void {
    const uncertaintyMs = receivedAt - sentAt;
    const offset = directoryMs - (sentAt + receivedAt) / 2;
    const wasSet = Math.abs(offset - this.#offset) > uncertaintyMs + this.#uncertaintyMs + CLOCK_STEP_MS;
    if (!wasSet && uncertaintyMs > this.#uncertaintyMs && receivedAt - this.#sampledAt < SAMPLE_MS_MAX) return;
    this.#offset = offset;
    this.#uncertaintyMs = uncertaintyMs;
    this.#sampledAt = receivedAt;
  }

  /** The directory's time at the local monotonic time `now`; null before its first response. */
  at(now: number): number | null {
    return this.#uncertaintyMs === Number.POSITIVE_INFINITY ? null : now + this.#offset;
  }

  /** Another directory may answer next, with another clock. */
  forget(): void {
    this.#uncertaintyMs = Number.POSITIVE_INFINITY;
  }
}
