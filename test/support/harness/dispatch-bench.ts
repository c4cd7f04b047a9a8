/** A dispatcher with a route or more, whose visits and lenders are stand-ins, under fake timers. */
import { expect, jest } from '@jest/globals';
import { DEFAULT_ROUTE_SETTINGS, type RouteSettings } from '../../../src/config/route-settings.ts';
import { Handoffs } from '../../../src/node/handoff/handoffs.ts';
import type { Relays } from '../../../src/node/handoff/relays.ts';
import { Dispatcher } from '../../../src/node/matching/dispatch.ts';
import { HeldTally } from '../../../src/node/matching/held-queue.ts';
import { Holds } from '../../../src/node/matching/holds.ts';
import type { Lender } from '../../../src/node/matching/lent-slots.ts';
import type { Route } from '../../../src/node/matching/route.ts';
import { Routes } from '../../../src/node/matching/routes.ts';
import { FakeCluster } from './fake-cluster.ts';
import { type StandInLender, StandInVisit } from './stand-ins.ts';

export const NAME = 'app.example.com';
export const ASKER = '192.0.2.2:9080';

export interface HeldLimits {
  readonly heldBytesMax: number;
  readonly heldMax: number;
}

/** Which linkers can't reach the asker, and how many slots a relay takes. */
class StandInRelays {
  readonly neededFor = new Set<Lender>();
  readonly lent: { readonly by: Lender; readonly count: number }[] = [];
  takes = Number.POSITIVE_INFINITY;

  needed(_route: string, by: Lender): boolean {
    return this.neededFor.has(by);
  }

  lend(_route: string, by: Lender, count: number): number {
    const taken = Math.min(count, this.takes);
    (by as StandInLender).stub.reserve(taken);
    if (taken > 0) this.lent.push({ by, count: taken });
    return taken;
  }

  get real(): Relays {
    return this as unknown as Relays;
  }
}

export class Bench {
  readonly cluster = new FakeCluster();
  readonly tally: HeldTally;
  readonly relays = new StandInRelays();
  readonly routes: Routes;
  readonly holds: Holds;
  readonly dispatcher: Dispatcher;
  readonly handoffs: Handoffs;
  readonly visits: StandInVisit[] = [];
  readonly lenders: StandInLender[] = [];

  constructor(limits: Partial<HeldLimits> = {}) {
    this.tally = new HeldTally(limits.heldBytesMax ?? 1_000_000);
    this.holds = new Holds(this.cluster, limits.heldMax ?? 1_000, this.tally);
    this.dispatcher = new Dispatcher(this.cluster, this.holds);
    this.handoffs = new Handoffs(this.dispatcher, this.relays.real);
    this.routes = new Routes(DEFAULT_ROUTE_SETTINGS, this.tally, {
      expired: (visit) => this.holds.expired(visit),
      rematch: (route) => this.dispatcher.match(route),
    });
  }

  route(settings: Partial<RouteSettings> = {}, name = NAME): Route {
    const all = [...this.routes.all()].map(({ name, settings }) => [name, settings] as const);
    this.routes.configure(new Map([...all, [name, { ...DEFAULT_ROUTE_SETTINGS, ...settings }]]));
    return this.routes.get(name) as Route;
  }

  links(route: Route, ...lenders: StandInLender[]): void {
    for (const one of lenders) {
      route.slots.add(one);
      this.lenders.push(one);
      this.dispatcher.match(route);
    }
  }

  /** A stream at the lender is over, which took `cost` slots. */
  ends(route: Route, one: StandInLender, cost = 1): void {
    one.stub.end(cost);
    route.slots.refilled(one);
    this.dispatcher.match(route);
  }

  arrives(route: Route, visit = new StandInVisit()): StandInVisit {
    this.visits.push(visit);
    this.dispatcher.admit(visit, route);
    return visit;
  }

  /** The visit's stream failed and can be tried again. */
  fails(visit: StandInVisit): void {
    const by = visit.served.at(-1) as StandInLender;
    by.stub.active--;
    this.dispatcher.retry(visit);
    by.stub.idle++;
    (visit.route as Route).slots.refilled(by);
    this.dispatcher.match(visit.route as Route);
  }

  want(route: Route, count: number): number {
    return this.handoffs.handOver(route, count, ASKER);
  }

  /** The idle slots that the cluster was told of, once the turn is over. */
  async level(route: Route): Promise<number | undefined> {
    jest.advanceTimersByTime(0);
    return this.cluster.levels.get(route.name);
  }

  /** Everything has ended: no counter has drifted and nothing is remembered. */
  expectNothingLeft(): void {
    expect([this.tally.size, this.tally.bytes, this.cluster.holds.size]).toEqual([0, 0, 0]);
    for (const { held } of this.routes.all()) expect([held.size, held.bytes, held.oldest]).toEqual([0, 0, null]);
  }
}
