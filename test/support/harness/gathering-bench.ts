/** Requests that take several slots, at a dispatcher whose visits and lenders are stand-ins. */
import { jest } from '@jest/globals';
import { parseRouteSettings } from '../../../src/config/route-settings.ts';
import type { Errand } from '../../../src/node/matching/gatherings.ts';
import type { Lender } from '../../../src/node/matching/lent-slots.ts';
import type { Route } from '../../../src/node/matching/route.ts';
import { Bench } from './dispatch-bench.ts';
import { lender, type StandInLender, StandInVisit } from './stand-ins.ts';

export const COSTS = parseRouteSettings({ cost: 'header:X-Cost', trustClients: true });

export function bench(): { bench: Bench; route: Route; comes: (cost: number, tenant?: string) => StandInVisit } {
  const one = new Bench({ heldMax: 10_000 });
  const route = one.route(COSTS);
  return { bench: one, route, comes: (cost, tenant = '') => comes(one, route, cost, tenant) };
}

export function comes(one: Bench, route: Route, cost: number, tenant = ''): StandInVisit {
  jest.advanceTimersByTime(1);
  const visit = new StandInVisit();
  visit.says = { 'x-cost': String(cost), 'x-tenant': tenant };
  return one.arrives(route, visit);
}

/** An instance with `idle` idle slots, and others in use. */
export function busy(seq: number, idle: number, active: number, over: Parameters<typeof lender>[2] = {}): StandInLender {
  const one = lender(seq, idle, over);
  one.stub.active = active;
  return one;
}

export const SUSPECT = { trust: { state: 'suspect' } as never };

/** A client of another node. */
export class StandInErrand implements Errand {
  readonly delivered: StandInLender[] = [];
  readonly refused: number[] = [];
  readonly cost: number;
  readonly #isReached: boolean;

  constructor(cost: number, isReached = true) {
    this.cost = cost;
    this.#isReached = isReached;
  }

  deliver(by: Lender): boolean {
    if (!this.#isReached) return false;
    (by as StandInLender).stub.reserve(this.cost);
    this.delivered.push(by as StandInLender);
    return true;
  }

  refuse(most: number): void {
    this.refused.push(most);
  }
}

/** The slots that were lent on are idle here again. */
export function comesBack(one: Bench, route: Route, by: StandInLender): void {
  by.stub.idle += by.stub.reserved;
  by.stub.reserved = 0;
  route.slots.refilled(by);
  one.dispatcher.match(route);
}

/** Its node is of a version without costs. */
export function oldRelay(seq: number, idle: number): StandInLender {
  const one = busy(seq, idle, 0, { relayed: true });
  one.stub.countsCosts = false;
  return one;
}
