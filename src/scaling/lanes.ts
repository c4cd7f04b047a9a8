/** Gives the lane back; more than once is the same as once. */
export type Release = () => void;

/**
 * Bounds the commands that run at once, so that a route with a hundred instances to start does not keep the others
 * waiting: every job has a lane of its own, and what it could do beside takes spare ones while there are any.
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
