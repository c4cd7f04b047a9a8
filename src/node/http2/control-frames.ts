import { Allowance } from './allowance.ts';
import type { WireLimits } from './http2-limits.ts';

/** A frame that is sent is worth so many of the peer's: a PING, and WINDOW_UPDATEs for the stream and for the connection. */
const EARNED_BY_FRAME = 3;
const EARNED_MAX = 10_000;
/** So many bytes of a body are worth another one. */
const CONTENT_BYTES_A_FRAME = 1_024;

/** How many frames that carry nothing a peer may send, client or application. */
export class ControlFrames {
  readonly #allowance: Allowance;

  constructor({ controlFramesMax, controlFramesPerSecondMax }: WireLimits, now: number) {
    this.#allowance = new Allowance(controlFramesMax, controlFramesPerSecondMax, EARNED_MAX, now);
  }

  /** A frame of a message was sent to the peer. */
  sent(): void {
    this.#allowance.earn(EARNED_BY_FRAME);
  }

  /** So many bytes of a body came. */
  came(contentBytes: number): void {
    this.#allowance.earn(contentBytes / CONTENT_BYTES_A_FRAME);
  }

  /** False: the peer has sent too many. */
  spend(now: () => number): boolean {
    return this.#allowance.spend(now);
  }
}
