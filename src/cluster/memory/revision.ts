/** The revision of a route in memory: as `revision` in Redis. */
import { BEAT_MS } from '../limits.ts';

/** In this process no revision comes a second time, also after a loss. */
let last = 0;

export class Revision {
  #number = ++last;
  #movedAt: number;

  constructor(now: number) {
    this.#movedAt = now;
  }

  get text(): string {
    return String(this.#number);
  }

  /** Nodes that rest at the route are to send a beat. */
  move(now: number): void {
    this.#number = ++last;
    this.#movedAt = now;
  }

  /** The same for what goes on for a while, at most once in a beat. */
  moveAgain(now: number): void {
    if (now - this.#movedAt >= BEAT_MS) this.move(now);
  }
}
