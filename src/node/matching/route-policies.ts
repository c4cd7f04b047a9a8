/** The reasons why held clients of a route wait although a slot is there, and for how long. Times are performance.now() in ms. */

/** How long an idle slot waits to be moved to a node that holds an older client, before it serves a younger one here. */
const YIELD_MS = 25;
/** After slots were kept back in vain none are for this time: a directory that is slow must not cost every slot YIELD_MS. */
const YIELD_PAUSE_MS = 100;
/** The first such time where clients have an order besides their ages, since 100 ms is long for a client that is next; it doubles while slots are kept back in vain. */
const ORDERED_YIELD_PAUSE_MS = 10;
/** Between two requests for slots of the newest instance; twice as long after each that brought none. */
const PULL_GAP_MS = 50;
const PULL_GAP_MS_MAX = 5_000;
/** A slot of the newest instance that comes later than this has not come because it was asked for: a client was held here. */
const PULL_HELPS_MS = 250;
/** How long a client waits for another instance before it is given to one whose first requests failed. */
const SUSPECT_AFTER_MS = 1_000;

/** Idle slots are kept back for an older client that another node holds. */
export class Yielding {
  /** Slots are kept back until then. */
  until = Number.NEGATIVE_INFINITY;
  #againAt = Number.NEGATIVE_INFINITY;
  #inVain = 0;

  /** A client elsewhere goes first, by its age or (`ordered`) by the order of the route: whether idle slots are kept back for it. */
  keepsBack(now: number, ordered = false): boolean {
    if (now >= this.#againAt) {
      this.until = now + YIELD_MS;
      const pauseMs = ordered ? ORDERED_YIELD_PAUSE_MS * 2 ** this.#inVain++ : YIELD_PAUSE_MS;
      this.#againAt = this.until + Math.min(YIELD_PAUSE_MS, pauseMs);
    }
    return now < this.until;
  }

  /** Some of the slots that were kept back have been moved: the next ones may be, too, as soon as they are wanted. */
  helped(): void {
    this.#inVain = 0;
    this.#againAt = Math.min(this.#againAt, this.until);
  }

  /** All slots that were kept back have been moved: it was not in vain. */
  moved(now: number): void {
    if (now >= this.until) return;
    this.#inVain = 0;
    this.until = now;
    this.#againAt = now;
  }
}

/** Older instances serve here, since the newest has no slot at this node: it is asked for some, less and less often if none come. */
export class NewestPull {
  #askedAt = Number.NEGATIVE_INFINITY;
  #againAt = Number.NEGATIVE_INFINITY;
  #inVain = 0;

  isDue(now: number): boolean {
    return now >= this.#againAt;
  }

  asked(now: number): void {
    this.#askedAt = now;
    this.#againAt = now + Math.min(PULL_GAP_MS_MAX, PULL_GAP_MS * 2 ** this.#inVain++);
  }

  /** The newest instance has lent a slot here. */
  came(now: number): void {
    if (now - this.#askedAt <= PULL_HELPS_MS) this.#inVain = 0;
  }
}

/** Instances fail to start, and none is there or on its way: for a while clients are sent away, not held. */
export class FailingStarts {
  /** Null: none has failed since an instance was there. */
  #until: number | null = null;

  /** Clients are sent away for `forMs`. Returns whether that is news. */
  failed(now: number, forMs: number): boolean {
    const isNews = this.#until === null;
    this.#until = now + forMs;
    return isNews;
  }

  /** An instance is there. */
  succeeded(): void {
    this.#until = null;
  }

  /** In how many ms clients are held again; 0: they are held now. The time is asked for only after a start has failed. */
  leftMs(now: () => number): number {
    return this.#until === null ? 0 : Math.max(0, this.#until - now());
  }
}

/** How long a client that has waited for `heldMs` still waits for another instance than a suspect one; 0: that is better than none. */
export function suspectLeftMs(heldMs: number): number {
  return Math.max(0, SUSPECT_AFTER_MS - heldMs);
}
