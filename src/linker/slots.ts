/**
 * Where the slots of an instance are. Each is in one place: at home, moving to a node that is being dialled, lent to a
 * node (in use there or idle), or orphaned: in use by a stream whose link is gone, until its application connection is
 * really closed. What is at home is derived from the rest, so that no slot can be forgotten or counted twice.
 */
import { BrokenInvariant } from '../boundary.ts';

export class Slots {
  readonly concurrency: number;
  readonly #inUseChanged: (inUse: number) => void;
  #lent = 0;
  #moving = 0;
  #orphaned = 0;
  #inUse = 0;

  /** `inUseChanged` is called for each stream that begins or ends: it must be cheap. */
  constructor(concurrency: number, inUseChanged: (inUse: number) => void) {
    this.concurrency = concurrency;
    this.#inUseChanged = inUseChanged;
  }

  get atHome(): number {
    return this.concurrency - this.#lent - this.#moving - this.#orphaned;
  }

  get allAtHome(): boolean {
    return this.#lent + this.#moving + this.#orphaned === 0;
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

  /** Streams on living links, and orphans: what the application has to do now. */
  get inUse(): number {
    return this.#inUse;
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

  orphanHome(): void {
    hold(this.#orphaned > 0, 'an orphan came home that was not away');
    this.#orphaned--;
  }

  streamBegan(): void {
    this.#inUseChanged(++this.#inUse);
  }

  streamEnded(): void {
    hold(this.#inUse > 0, 'a stream ended that had not begun');
    this.#inUseChanged(--this.#inUse);
  }
}

/** Where it does not hold the application may get more than it can take, and no link's end would mend that: the instance ends. */
function hold(rule: boolean, broken: string): void {
  if (!rule) throw new BrokenInvariant(broken);
}
