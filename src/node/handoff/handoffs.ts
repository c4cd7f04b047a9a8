/**
 * A node that holds older clients gets idle slots from here: their linker moves them there. Where the linker can't reach that node, it
 * says so and lends the slots here again, and this node relays.
 */
import type { Dispatcher } from '../matching/dispatch.ts';
import type { Lender } from '../matching/lent-slots.ts';
import type { Route } from '../matching/route.ts';
import type { Routes } from '../matching/routes.ts';
import type { ErrandEvents, Relays } from './relays.ts';

/** The results for slots that another node wanted. */
export type HandoffResult = 'moved' | 'relayed' | 'failed' | 'short';

export class Handoffs {
  readonly results: Record<HandoffResult, number> = { moved: 0, relayed: 0, failed: 0, short: 0 };
  readonly #dispatcher: Dispatcher;
  readonly #relays: Relays;
  /** Slots that their linker could not move and is about to lend here again. */
  readonly #failed = new Map<Lender, { readonly count: number; readonly address: string }>();

  constructor(dispatcher: Dispatcher, relays: Relays) {
    this.#dispatcher = dispatcher;
    this.#relays = relays;
  }

  /** The node at `address` holds older clients: hands up to `count` idle slots over, those of `instance` only if it is said. Returns how many it can't. */
  handOver(route: Route, count: number, address: string, instance?: string): number {
    let left = count;
    for (const lender of lendersFor(route, count, instance)) {
      const moving = route.mayMove(lender) ? Math.min(left, lender.link.idle) : 0;
      if (moving === 0) continue;
      left -= this.#relays.needed(route.name, lender, address)
        ? this.#relay(route, lender, moving, address)
        : this.#move(lender, moving, address);
    }
    this.results.short += left;
    this.#dispatcher.handedOver(route, count - left);
    return left;
  }

  /** The lender's linker does not reach the node at `address`, and lends the `count` slots here again right after this. */
  moveFailed(route: string, lender: Lender, count: number, address: string): void {
    this.results.failed += count;
    this.#relays.markUnreachable(route, lender, address);
    this.#failed.set(lender, { count, address });
  }

  /** The lender has lent slots here. If they could not be moved, they are relayed. */
  lent(route: Route, lender: Lender): void {
    const failed = this.#failed.size === 0 ? undefined : this.#failed.get(lender);
    if (failed === undefined) return;
    this.#failed.delete(lender);
    const count = Math.min(failed.count, lender.link.idle);
    // Slots that are brought together for one client go nowhere else.
    if (count === 0 || lender.gathersFor !== undefined) return;
    this.#relay(route, lender, count, failed.address);
    this.#dispatcher.slotsChanged(route);
  }

  /** The lender's linker wants `count` slots back that are not idle here. */
  recalled(lender: Lender, count: number): void {
    this.#relays.recall(lender, count);
  }

  /** The lender's link is gone. */
  gone(lender: Lender): void {
    this.#relays.close(lender);
    this.#failed.delete(lender);
  }

  #move(lender: Lender, count: number, address: string): number {
    lender.link.move(count, address);
    this.results.moved += count;
    return count;
  }

  #relay(route: Route, lender: Lender, count: number, address: string): number {
    const relayed = this.#relays.lend(route.name, lender, count, address);
    this.results.relayed += relayed;
    return relayed;
  }
}

/** Errands of other nodes wait in line with the clients that are held at this one. */
export function errandsAt(routes: Pick<Routes, 'get'>, dispatcher: Pick<Dispatcher, 'errandBegins'>): ErrandEvents {
  return {
    begins: (name, errand) => {
      const route = routes.get(name);
      if (route === undefined) errand.refuse(0);
      else dispatcher.errandBegins(route, errand);
    },
    ends: (name, errand) => routes.get(name)?.gatherings.endErrand(errand),
  };
}

function lendersFor(route: Route, count: number, instance?: string): readonly Lender[] {
  const { lenders } = route.slots;
  if (instance !== undefined) return lenders.filter((lender) => lender.instance === instance);
  // Several may be for one request, which takes those of one instance.
  const whole = count > 1 ? lenders.find((lender) => route.mayMove(lender) && lender.link.idle >= count) : undefined;
  return whole === undefined ? lenders : [whole];
}
