/** Which routes answer with 5xx lately, by the counters that there are anyway: nothing is done per request. */
import type { RouteResponses } from '../cluster/cluster.ts';
import { routeOf } from '../config/route-key.ts';

/** A rate is over one to two of these. */
const MARK_EVERY_MS = 15_000;
/** Counters are looked at this often. */
const LOOK_EVERY_MS = 3_000;
/** Routes that are told, those with the most failures first. */
export const FAILING_ROUTES_MAX = 20;

interface Counted {
  readonly name: string;
  readonly counters: { readonly codes: ReadonlyMap<number, number> };
}

interface Mark {
  readonly at: number;
  readonly routes: ReadonlyMap<string, RouteResponses>;
}

export class ResponseRates {
  readonly #now: () => number;
  #older: Mark | null = null;
  #newer: Mark | null = null;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #found: readonly RouteResponses[] = [];

  /** `now`: monotonic ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Routes with 5xx since the older mark. */
  failing(routes: Iterable<Counted>): readonly RouteResponses[] {
    const now = this.#now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return this.#found;
    this.#lookedAt = now;
    const counted = new Map<string, RouteResponses>();
    // All keys of a route have its counters.
    for (const { name, counters } of routes) counted.set(routeOf(name), count(routeOf(name), counters.codes));
    this.#found = [...counted.values()]
      .map((one) => since(one, this.#older?.routes.get(one.route)))
      .filter(({ failed }) => failed > 0)
      .sort((a, b) => b.failed - a.failed)
      .slice(0, FAILING_ROUTES_MAX);
    if (this.#newer === null || now - this.#newer.at >= MARK_EVERY_MS) {
      this.#older = this.#newer ?? { at: now, routes: counted };
      this.#newer = { at: now, routes: counted };
    }
    return this.#found;
  }
}

function count(route: string, codes: ReadonlyMap<number, number>): RouteResponses {
  let all = 0;
  let failed = 0;
  for (const [code, times] of codes) {
    all += times;
    if (code >= 500) failed += times;
  }
  return { route, all, failed };
}

function since(now: RouteResponses, before: RouteResponses | undefined): RouteResponses {
  return { route: now.route, all: now.all - (before?.all ?? 0), failed: now.failed - (before?.failed ?? 0) };
}
