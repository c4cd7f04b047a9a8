/** What a node knows of the waits at a route: how long requests kept their slots of late, what the cluster knows, and how good estimates were. */
import { type RouteSupply, waitMs } from '../../cluster/wait-estimate.ts';
import { type Measured, TOOK_HALF_MS } from '../../cluster/waits.ts';
import { Histogram } from './counters.ts';

/** Older knowledge says nothing of the queue now. */
const KNOWN_FOR_MS = 3_000;
/** Between two clients whose estimate is compared with what came of it: in an overload thousands come in a second. */
const JUDGED_GAP_MS = 5;
/** No estimate of a shorter wait is told to anybody. */
export const JUDGED_MS_MIN = 100;
/** What earlier estimates were wrong by corrects later ones: by the mean over about so many, and by no more than this, either way. */
const CORRECTED_BY = 50;
const CORRECTION_MAX = 2;
/** |estimate - truth| / truth. */
export const ERROR_BOUNDS: readonly number[] = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 5];

/** How many clients go before one: at this node, and at others. */
export interface Ahead {
  readonly here: number;
  readonly elsewhere: (others: number, oldestMs: number) => number;
}

export class RouteWaits {
  /** Estimates for clients when they came, and by how much they were wrong; of those who were served. Null: none was judged. */
  estimates: Histogram | null = null;
  errors: Histogram | null = null;
  #requests = 0;
  #ms = 0;
  #since = 0;
  #supply: RouteSupply | null = null;
  /** Clients that are held at other nodes. */
  #others = 0;
  #saidAt = Number.NEGATIVE_INFINITY;
  /** The logarithm of truth / estimate, of late. */
  #bias = 0;
  #judgesAt = Number.NEGATIVE_INFINITY;

  /** A request has kept its slot for `ms`. Times are performance.now(). */
  took(now: number, ms: number): void {
    if (now - this.#since > TOOK_HALF_MS) {
      this.#since = now;
      this.#requests = Math.floor(this.#requests / 2);
      this.#ms = this.#requests === 0 ? 0 : this.#ms / 2;
    }
    this.#requests++;
    this.#ms += ms;
  }

  /** What was measured since the last call. */
  take(): Measured {
    const measured = { requests: this.#requests, ms: this.#ms };
    this.#requests = 0;
    this.#ms = 0;
    return measured;
  }

  /** `heldHere`: clients that were held at this node when the cluster was asked. */
  learn(supply: RouteSupply, heldHere: number, now: number): void {
    this.#supply = supply;
    this.#others = Math.max(0, supply.held - heldHere);
    this.#saidAt = now;
  }

  /** How long a client will still wait; null: that is not known. */
  leftMs({ here, elsewhere }: Ahead, now: number): number | null {
    const supply = this.#supply;
    const ageMs = now - this.#saidAt;
    if (supply === null || ageMs > KNOWN_FOR_MS) return null;
    const startAgesMs = supply.startAgesMs.map((startMs) => startMs + ageMs);
    const ms = waitMs(here + elsewhere(this.#others, supply.oldestHeldMs + ageMs), { ...supply, startAgesMs });
    return ms === null ? null : ms * this.correction;
  }

  /** Slots are not busy all the time, and requests that wait are not like those that were served: how much that is shows only afterwards. */
  get correction(): number {
    return Math.exp(this.#bias);
  }

  /** Its place in the line over all nodes: the first one has 1. Null: what others hold is not known. */
  position({ here, elsewhere }: Ahead, now: number): number | null {
    const supply = this.#supply;
    if (supply === null || now - this.#saidAt > KNOWN_FOR_MS) return null;
    return here + elsewhere(this.#others, supply.oldestHeldMs + now - this.#saidAt) + 1;
  }

  /** The wait of a client that goes behind the `heldHere` clients here and all others. */
  newcomerMs(heldHere: number, now: number): number | null {
    return this.leftMs({ here: heldHere, elsewhere: (others) => others }, now);
  }

  /** An estimate that is made now will be compared with what comes of it. */
  judgesNow(now: number): boolean {
    if (now < this.#judgesAt || now - this.#saidAt > KNOWN_FOR_MS) return false;
    this.#judgesAt = now + JUDGED_GAP_MS;
    return true;
  }

  /** The client has waited for `ms`; `estimateMs` was expected, with that correction. */
  judge(estimateMs: number, correction: number, ms: number): void {
    if (ms < JUDGED_MS_MIN) return;
    const most = Math.log(CORRECTION_MAX);
    // By the uncorrected estimate: the correction must not follow itself.
    const wrongBy = Math.min(most, Math.max(-most, Math.log((ms * correction) / Math.max(1, estimateMs))));
    this.#bias += (wrongBy - this.#bias) / CORRECTED_BY;
    this.estimates ??= new Histogram();
    this.errors ??= new Histogram(ERROR_BOUNDS);
    this.estimates.observe(estimateMs / 1_000);
    this.errors.observe(Math.abs(estimateMs - ms) / ms);
  }
}
