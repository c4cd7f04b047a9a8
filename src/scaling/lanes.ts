/** Gives the lane back. A second call does nothing. */
export type Release = () => void;

/**
 * Limits the commands that run at once, so that a route with a hundred instances to start does not delay other
 * routes: every job has a lane of its own, and borrows spare lanes while there are any.
 */
export class LanePool {
  #spare: number;

  constructor(spareLanes: number) {
    this.#spare = spareLanes;
  }

  forJob(): Lanes {
    let ownIsFree = true;
    return {
      take: (count) => {
        const taken: Release[] = [];
        if (count > 0 && ownIsFree) {
          ownIsFree = false;
          taken.push(() => {
            ownIsFree = true;
          });
        }
        while (taken.length < count && this.#spare > 0) taken.push(this.#takeSpare());
        return taken;
      },
    };
  }

  #takeSpare(): Release {
    let held = true;
    this.#spare -= 1;
    return () => {
      if (held) this.#spare += 1;
      held = false;
    };
  }
}

export interface Lanes {
  /** At most `count` lanes, none when all are in use. */
  take(count: number): Release[];
}

/** How many of the starts that were asked for may begin now, by the rate of all starts. */
export interface Allowed {
  readonly starts: number;
  /** When to ask again for the others. */
  readonly waitMs: number;
}
