/**
 * Where the slots of an instance are. Each is in one place: at home, moving to a node that is being dialled, lent to a
 * node (in use there or idle), or orphaned: in use by a stream whose link is gone, until its application connection is
 * really closed. What is at home is derived from the rest, so that no slot can be forgotten or counted twice.
 *
 * The limit moves. While more slots are out than it allows, the surplus is recalled and stays when it comes home. Nodes may open streams
 * on slots of the surplus until the recall reaches them. Such streams wait here (`waiting`), so the application gets no request beyond
 * the limit from the moment it is set.
 */
import { BrokenInvariant } from '../boundary.ts';

export class Slots {
  /** How many requests the application may have now. */
  limit: number;
  /** Slots of streams that the application has not been given: they wait for room. */
  waiting = 0;
  /** Slots of streams that do not keep the instance awake. */
  quiet = 0;
  readonly #inUseChanged: (inUse: number) => void;
  #lent = 0;
  #moving = 0;
  #orphaned = 0;
  #inUse = 0;

  /** `inUseChanged` is called for each stream that begins or ends: it must be cheap. */
  constructor(limit: number, inUseChanged: (inUse: number) => void) {
    this.limit = limit;
    this.#inUseChanged = inUseChanged;
  }

  /** Slots that may be lent. */
  get atHome(): number {
    return Math.max(0, this.limit - this.#out);
  }

  /** Slots that are out and should not be, since the limit was lowered. */
  get surplus(): number {
    return Math.max(0, this.#out - this.limit);
  }

  get #out(): number {
    return this.#lent + this.#moving + this.#orphaned;
  }

  get allAtHome(): boolean {
    return this.#out === 0;
  }

  get lent(): number {
    return this.#lent;
  }

  get moving(): number {
    return this.#moving;
  }

  get orphaned(): number {
    return this.#orphaned;
  }

  /** What streams cost on living links, and orphans. */
  get inUse(): number {
    return this.#inUse;
  }

  /** What the streams cost that the application has to do with now. */
  get atApplication(): number {
    return this.#inUse - this.waiting;
  }

  lend(count: number): void {
    hold(count <= this.atHome, `${count} slots lent, ${this.atHome} are at home`);
    this.#lent += count;
  }

  takeBack(count: number): void {
    hold(count <= this.#lent, `${count} slots came back, ${this.#lent} are lent`);
    this.#lent -= count;
  }

  beginMove(count: number): void {
    hold(count <= this.atHome, `${count} slots to be moved, ${this.atHome} are at home`);
    this.#moving += count;
  }

  endMove(count: number): void {
    hold(count <= this.#moving, `${count} slots have moved, ${this.#moving} are moving`);
    this.#moving -= count;
  }

  /** A link with `lent` slots is gone; the idle ones are at home at once, the `inUse` ones when their streams are over. */
  linkLost(lent: number, inUse: number): void {
    this.takeBack(lent);
    this.#orphaned += inUse;
  }

  orphanHome(cost = 1): void {
    hold(this.#orphaned >= cost, 'an orphan came home that was not away');
    this.#orphaned -= cost;
  }

  streamBegan(isQuiet = false, cost = 1): void {
    if (isQuiet) this.quiet += cost;
    this.#inUse += cost;
    this.#inUseChanged(this.#inUse);
  }

  streamEnded(isQuiet = false, cost = 1): void {
    if (isQuiet) this.quiet -= cost;
    hold(this.#inUse >= cost, 'a stream ended that had not begun');
    this.#inUse -= cost;
    this.#inUseChanged(this.#inUse);
  }
}

/** Where it does not hold the application may get more than it can take, and no link's end would mend that: the instance ends. */
function hold(rule: boolean, broken: string): void {
  if (!rule) throw new BrokenInvariant(broken);
}
