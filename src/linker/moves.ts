/**
 * Handoff: a node gives back an idle slot and names the node that holds a client for it. The linker dials that node, unless a
 * link is there, and lends it the slot. If it can't, the node that asked is told MOVE_FAILED and then lent the slot again, in
 * this order: it knows that the address is out of reach before it has a slot to send there once more.
 */
import { unawaited } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import { BoundedMap } from '../memory/bounded-map.ts';
import type { LinkedNode } from './linked-node.ts';
import type { Slots } from './slots.ts';

/** Long enough for a TLS handshake across a continent; the client that the slot is for waits meanwhile. */
const DIAL_TIMEOUT_MS = 2_000;
/**
 * An address that could not be dialled is not tried again for as long as that took, within these bounds: a node that asks is told at once. A node
 * that was killed refuses in no time, and may be back as soon.
 */
const FAILED_FOR_MS_MIN = 100;
const FAILED_FOR_MS_MAX = 1_000;
const FAILED_ADDRESSES_MAX = 256;

export interface MoveOptions {
  readonly slots: Slots;
  /** A living link that this address leads to. */
  readonly find: (said: string) => LinkedNode | null;
  /** @throws when there is no link within the signal's time. */
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<LinkedNode>;
  /** Slots may be lent now. */
  readonly mayLend: () => boolean;
  /** The slots that should move are at home. */
  readonly slotsHome: () => void;
  readonly signal: AbortSignal;
}

interface Ask {
  readonly from: LinkedNode;
  readonly count: number;
}

export class Moves {
  readonly #options: MoveOptions;
  /** Address → who waits for the dial that is under way. */
  readonly #waiting = new Map<string, Ask[]>();
  /** Address → until when it is not dialled; performance.now() in ms. */
  readonly #failed = new BoundedMap<string, number>(FAILED_ADDRESSES_MAX);

  constructor(options: MoveOptions) {
    this.#options = options;
  }

  /** `cameHome` slots have just come home from `from`. Those beyond the limit stay. */
  wanted(from: LinkedNode, cameHome: number, address: HostPort | null, said: string): void {
    const { slots, find, mayLend, slotsHome } = this.#options;
    const count = Math.min(cameHome, slots.atHome);
    if (!mayLend() || count === 0) {
      slotsHome();
      return;
    }
    slots.beginMove(count);
    const ask = { from, count };
    const linked = find(said);
    if (linked !== null) this.#arrive(linked, [ask]);
    else if (address === null || this.#isOutOfReach(said)) this.#fail(said, [ask]);
    else this.#dial(said, address, ask);
  }

  #dial(said: string, address: HostPort, ask: Ask): void {
    const waiting = this.#waiting.get(said);
    if (waiting !== undefined) {
      waiting.push(ask);
      return;
    }
    const asks = [ask];
    this.#waiting.set(said, asks);
    const settled = this.#reach(said, address).then((linked) => {
      this.#waiting.delete(said);
      if (linked !== null) this.#arrive(linked, asks);
      else this.#fail(said, asks);
    });
    unawaited('link', settled);
  }

  /** Null when the node at the address can't be linked. */
  async #reach(said: string, address: HostPort): Promise<LinkedNode | null> {
    const began = performance.now();
    const signal = AbortSignal.any([this.#options.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]);
    try {
      const linked = await this.#options.dial(address, signal);
      if (linked.state !== 'down') return linked;
    } catch {
      // It was logged where it failed.
    }
    this.#remember(said, performance.now() - began);
    return null;
  }

  #arrive(linked: LinkedNode, asks: readonly Ask[]): void {
    const { slots, mayLend, slotsHome } = this.#options;
    for (const { count } of asks) {
      slots.endMove(count);
      if (mayLend()) linked.grant(count);
    }
    slotsHome();
  }

  #fail(said: string, asks: readonly Ask[]): void {
    const { slots, mayLend, slotsHome } = this.#options;
    for (const { from, count } of asks) {
      slots.endMove(count);
      from.moveFailed(count, said);
      // A node that is leaving would only return it.
      if (from.state === 'up' && mayLend()) from.grant(count);
    }
    slotsHome();
  }

  #isOutOfReach(said: string): boolean {
    return performance.now() < (this.#failed.get(said) ?? 0);
  }

  #remember(said: string, tookMs: number): void {
    this.#failed.set(said, performance.now() + Math.min(FAILED_FOR_MS_MAX, Math.max(FAILED_FOR_MS_MIN, tookMs)));
  }
}
