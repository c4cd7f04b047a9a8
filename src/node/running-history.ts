/** One bucket of the history at this node: what its routes have counted since it began. */
import type { WaitCounts } from '../cluster/cluster.ts';
import { CLASSES, HISTORY_ROUTES_MAX, type HistoryNumbers, type RouteHistory, sumHistory } from '../cluster/history.ts';
import { routeOf } from '../config/route-key.ts';
import type { Histogram, RouteCounters } from './matching/counters.ts';

/** A route, as far as it is counted. */
export interface CountedRoute {
  readonly name: string;
  readonly held: { readonly size: number };
  readonly slots: {
    readonly lenders: readonly { readonly relayed: boolean; readonly link: { readonly idle: number; readonly active: number } }[];
  };
  readonly counters: RouteCounters;
}

/** The values of the counters when they were read last. */
interface Mark {
  readonly classes: readonly number[];
  readonly sums: readonly number[];
  readonly counts: readonly (readonly number[])[];
}

/** Counters begin with zero. */
const NEW: Mark = { classes: [], sums: [], counts: [] };

/** The counters of routes as they were read last: what is counted between two readings belongs to one bucket. */
export type Marks = WeakMap<RouteCounters, Mark>;

interface Sums {
  readonly classes: number[];
  readonly waits: readonly Record<string, number>[];
  held: number;
  /** Over all looks. */
  active: number;
  slots: number;
}

export class RunningHistory {
  readonly #marks: Marks;
  readonly #routes = new Map<string, Sums>();
  /** Responses without a route. */
  readonly #unrouted = newSums();
  #looks = 0;

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  /** Looks at numbers that go up and down. */
  look(routes: Iterable<CountedRoute>): void {
    this.#looks++;
    const held = new Map<Sums, number>();
    for (const route of routes) {
      const { slots } = route;
      if (route.held.size === 0 && slots.lenders.length === 0) continue;
      const sums = this.#at(route.name);
      // The keys of a route come one after the other.
      if (!held.has(sums)) sums.slots = 0;
      held.set(sums, (held.get(sums) ?? 0) + route.held.size);
      for (const { relayed, link } of slots.lenders) {
        sums.active += link.active;
        // Slots of a link that comes from another node are counted there.
        if (!relayed) sums.slots += link.idle + link.active;
      }
    }
    for (const [sums, size] of held) sums.held = Math.max(sums.held, size);
  }

  /** Adds what was counted since the last time. */
  count(routes: Iterable<CountedRoute>, unrouted: RouteCounters): void {
    for (const { name, counters } of routes) this.#count(counters, () => this.#at(name));
    this.#count(unrouted, () => this.#unrouted);
  }

  /** The sum of all, and the busiest routes. */
  told(ms: number): RouteHistory[] {
    const looks = Math.max(1, this.#looks);
    const all = [...this.#routes].map(([route, sums]) => ({ route, numbers: numbersOf(sums, ms, looks) }));
    const sum = sumHistory([...all.map(({ numbers }) => numbers), numbersOf(this.#unrouted, ms, looks)]);
    const busiest = all.length <= HISTORY_ROUTES_MAX ? all : all.sort((a, b) => weight(b) - weight(a)).slice(0, HISTORY_ROUTES_MAX);
    return [{ route: null, numbers: sum }, ...busiest];
  }

  /** The history of the route, or of the key's own one. */
  #at(name: string): Sums {
    const route = routeOf(name);
    const sums = this.#routes.get(route) ?? newSums();
    this.#routes.set(route, sums);
    return sums;
  }

  /** `into` is called when there is anything new. */
  #count(counters: RouteCounters, into: () => Sums): void {
    const mark = this.#marks.get(counters) ?? NEW;
    const classes = classesOf(counters);
    const histograms = [counters.requests, counters.hold, counters.coldStart];
    // Thousands of routes are idle: their histograms are not looked at.
    const isSame =
      classes.every((count, i) => count === (mark.classes[i] ?? 0)) && histograms.every(({ sum }, i) => sum === (mark.sums[i] ?? 0));
    if (isSame) return;
    const sums = into();
    for (const [i, count] of classes.entries()) sums.classes[i] = (sums.classes[i] ?? 0) + count - (mark.classes[i] ?? 0);
    for (const [i, histogram] of histograms.entries()) addNew(histogram, mark.counts[i] ?? [], sums.waits[i] ?? {});
    const counts = histograms.map((histogram) => [...histogram.counts]);
    this.#marks.set(counters, { classes, sums: histograms.map(({ sum }) => sum), counts });
  }
}

function newSums(): Sums {
  return { classes: new Array<number>(CLASSES).fill(0), waits: [{}, {}, {}], held: 0, active: 0, slots: 0 };
}

function addNew({ bounds, counts }: Histogram, before: readonly number[], sums: Record<string, number>): void {
  for (const [i, count] of counts.entries()) {
    const more = count - (before[i] ?? 0);
    const bound = String(bounds[i] ?? '+Inf');
    if (more > 0) sums[bound] = (sums[bound] ?? 0) + more;
  }
}

function classesOf({ codes }: RouteCounters): number[] {
  const classes = new Array<number>(CLASSES).fill(0);
  for (const [code, count] of codes) {
    const at = Math.floor(code / 100) - 1;
    if (at >= 0 && at < CLASSES) classes[at] = (classes[at] ?? 0) + count;
  }
  return classes;
}

function numbersOf({ classes, waits, held, active, slots }: Sums, ms: number, looks: number): HistoryNumbers {
  const [requests = {}, holds = {}, coldStarts = {}]: readonly WaitCounts[] = waits;
  const average = Math.round((active / looks) * 10) / 10;
  // The sums go on while the numbers are written.
  return {
    ms,
    classes: [...classes],
    requests: { ...requests },
    holds: { ...holds },
    coldStarts: { ...coldStarts },
    held,
    active: average,
    slots,
  };
}

function weight({ numbers: { classes, held, active, slots } }: RouteHistory): number {
  return classes.reduce((sum, count) => sum + count, 0) + 100 * held + active + slots / 1_000;
}
