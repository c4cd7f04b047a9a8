/**
 * Whether a node sends no beats at a route: for a while nothing has changed there, and the route's revision says when others have changed something. A
 * node that holds clients never rests, so that others see within seconds that it died.
 */
import { REST_AFTER_MS, REST_BEAT_MAX_MS, REST_BEAT_MIN_MS } from '../limits.ts';

export class Rest {
  readonly #now: () => number;
  #awakeUntil: number;
  /** Something has changed since this was looked at: requests change something all the time, and must not ask for the time. */
  #isStirred = false;
  /** The revision at the last beat by which the directory knows that the node rests; null: it does not. */
  #revision: string | null = null;
  #beatDueAt = Number.NEGATIVE_INFINITY;

  /** `now`: local monotonic ms. */
  constructor(now: () => number) {
    this.#now = now;
    this.#awakeUntil = now() + REST_AFTER_MS;
  }

  /** Something has changed, or the directory was told anything but a beat: to it, the node does not rest any more. */
  stir(): void {
    this.#isStirred = true;
  }

  /** The node sends beats for so long. */
  stirFor(ms: number): void {
    this.#awakeUntil = Math.max(this.#awakeUntil, this.#now() + ms);
  }

  /** Nothing has changed for a while. */
  get isDue(): boolean {
    if (this.#isStirred) this.stirFor(REST_AFTER_MS);
    this.#isStirred = false;
    return this.#now() >= this.#awakeUntil;
  }

  /** The directory knows that the node rests, and no beat is due. */
  get isOn(): boolean {
    return this.#revision !== null && this.isDue && this.#now() < this.#beatDueAt;
  }

  /** A beat has a reply. */
  said(rests: boolean, revision: string): void {
    this.#revision = rests ? revision : null;
    this.#beatDueAt = this.#now() + REST_BEAT_MIN_MS + Math.random() * (REST_BEAT_MAX_MS - REST_BEAT_MIN_MS);
  }

  /** It is not known what the directory knows. */
  end(): void {
    this.#revision = null;
  }

  /** Whether nothing was changed by others. `revision`: the route's revision now, null where the directory has none. */
  isStill(revision: string | null): boolean {
    return revision !== null && revision === this.#revision;
  }
}
