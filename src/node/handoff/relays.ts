/**
 * When a linker can't dial the node that holds a client, the node that has the link relays: towards the other node it acts
 * as the linker, with the same protocol, and lends on a slot of the real one.
 */
import { parseHostPort } from '../../config/host-port.ts';
import type { NodeTls } from '../../link/connect.ts';
import { BoundedMap } from '../../memory/bounded-map.ts';
import type { Errand } from '../matching/gatherings.ts';
import type { Lender } from '../matching/lent-slots.ts';
import { Relay, type RelayOptions } from './relay.ts';

/** For how long a linker that failed to dial a node is not asked to do so again. */
const UNREACHABLE_MS = 30_000;
/** When it is asked again: after this it would have said that it failed once more. */
const TRIED_MS = 5_000;
const UNREACHABLE_MAX = 10_000;
/** A node to which no relay could be made is left alone for this time: each attempt takes slots out of service for a while. */
const FAILED_MS = 5_000;
/** The same when the connection was refused: a node that was killed may be back at any moment, and a refusal takes no time. */
const REFUSED_MS = 250;
const FAILED_MAX = 10_000;

/** What becomes of the wishes of nodes to which slots are lent on. */
export interface ErrandEvents {
  begins(route: string, errand: Errand): void;
  /** It is over, if it was not refused. */
  ends(route: string, errand: Errand): void;
}

const NO_ERRANDS: ErrandEvents = { begins: (_route, errand) => errand.refuse(0), ends: () => {} };

export class Relays {
  #options: RelayOptions;
  readonly #errandEvents: ErrandEvents;
  /** The wish of the node at the other end: one for each relay. */
  readonly #errands = new Map<Relay, { readonly route: string; readonly errand: Errand }>();
  /** By instance and address; a linker that links again has another lender and other relays. */
  readonly #relays = new Map<Lender, Map<string, Relay>>();
  /** `route instance address` → until when slots are relayed; performance.now() in ms. `retried`: by then the linker has had another try. */
  readonly #unreachable = new BoundedMap<string, { readonly until: number; readonly retried: boolean }>(UNREACHABLE_MAX);
  /** `route address` → until when; performance.now() in ms. */
  readonly #failed = new BoundedMap<string, number>(FAILED_MAX);
  #leaving = false;

  constructor(options: RelayOptions, errandEvents: ErrandEvents = NO_ERRANDS) {
    this.#options = options;
    this.#errandEvents = errandEvents;
  }

  /** From the next dial on. */
  replaceTls(tls: NodeTls): void {
    this.#options = { ...this.#options, tls };
  }

  /** The lender's linker could not dial `address`. */
  markUnreachable(route: string, lender: Lender, address: string): void {
    this.#remember(unreachableKey(route, lender, address), UNREACHABLE_MS, false);
  }

  /**
   * Whether the lender's linker is known not to reach the node at `address`. After a while it is asked to try again, once: an address
   * from which nothing comes back takes the slots that move there out of service until the linker gives up.
   */
  needed(route: string, lender: Lender, address: string): boolean {
    const key = unreachableKey(route, lender, address);
    const known = this.#unreachable.get(key);
    if (known === undefined) return false;
    if (performance.now() < known.until) return true;
    if (known.retried) this.#unreachable.delete(key);
    else this.#remember(key, TRIED_MS, true);
    return false;
  }

  /** Lends up to `count` idle slots of the lender on to the node at `address`. Returns how many. */
  lend(route: string, lender: Lender, count: number, address: string): number {
    if (this.#leaving) return 0;
    const open = this.#relays.get(lender)?.get(address);
    if (open !== undefined) return open.lend(count);
    const at = parseHostPort(address);
    if (at === null || performance.now() < (this.#failed.get(`${route} ${address}`) ?? 0)) return 0;
    const relay: Relay = new Relay(route, lender, at, this.#options, {
      gather: (cost) => this.#gather(relay, route, cost, address),
      over: (reached, nobodyListens) => {
        if (!reached) this.#failed.set(`${route} ${address}`, performance.now() + (nobodyListens ? REFUSED_MS : FAILED_MS));
        // Not the linker's way there is broken.
        if (nobodyListens) this.#unreachable.delete(unreachableKey(route, lender, address));
        this.#forget(lender, address);
        this.#endErrand(relay);
      },
    });
    const relays = this.#relays.get(lender) ?? new Map<string, Relay>();
    this.#relays.set(lender, relays.set(address, relay));
    return relay.lend(count);
  }

  /** Slots that are lent on, those in use included. */
  get lent(): number {
    let lent = 0;
    for (const relays of this.#relays.values()) for (const relay of relays.values()) lent += relay.lent;
    return lent;
  }

  /** The lender's linker wants `count` slots back that are not idle here: idle ones come first, wherever they lie. */
  recall(lender: Lender, count: number): void {
    const all = [...(this.#relays.get(lender)?.values() ?? [])];
    let left = count;
    for (const relay of all) if (left > 0) left -= relay.recall(Math.min(left, relay.idle));
    for (const relay of all) if (left > 0) left -= relay.recall(left);
  }

  /** The node at the relay's other end wants `cost` slots of one instance at once. It may have them of any, also through another relay. */
  #gather(relay: Relay, route: string, cost: number, address: string): void {
    this.#endErrand(relay);
    if (cost === 0) return;
    if (this.#leaving) {
      relay.gathersAtMost(0);
      return;
    }
    const errand: Errand = {
      cost,
      deliver: (lender) => this.lend(route, lender, cost, address) === cost,
      refuse: (most) => {
        this.#errands.delete(relay);
        relay.gathersAtMost(most);
      },
    };
    this.#errands.set(relay, { route, errand });
    this.#errandEvents.begins(route, errand);
  }

  #endErrand(relay: Relay): void {
    const ended = this.#errands.get(relay);
    if (ended === undefined) return;
    this.#errands.delete(relay);
    this.#errandEvents.ends(ended.route, ended.errand);
  }

  /** The lender's link is gone. */
  close(lender: Lender): void {
    for (const relay of [...(this.#relays.get(lender)?.values() ?? [])]) relay.close('the relayed linker is gone');
  }

  /** This node leaves: everything comes home, and nothing more is lent on. */
  goAway(): void {
    this.#leaving = true;
    for (const relay of [...this.#errands.keys()]) {
      this.#endErrand(relay);
      relay.gathersAtMost(0);
    }
    for (const lender of [...this.#relays.keys()]) this.recall(lender, Number.POSITIVE_INFINITY);
  }

  closeAll(): void {
    for (const lender of [...this.#relays.keys()]) this.close(lender);
  }

  #remember(key: string, forMs: number, retried: boolean): void {
    this.#unreachable.set(key, { until: performance.now() + forMs, retried });
  }

  #forget(lender: Lender, address: string): void {
    const relays = this.#relays.get(lender);
    if (relays?.delete(address) && relays.size === 0) this.#relays.delete(lender);
  }
}

function unreachableKey(route: string, { instance }: Lender, address: string): string {
  return `${route} ${instance} ${address}`;
}
