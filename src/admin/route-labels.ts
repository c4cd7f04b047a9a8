/** The number of routes with a label of their own in the metrics; the others share one label. */
import type { MetricsSnapshot, RouteNumbers } from './metrics-source.ts';
import { sumRoutes } from './sum-metrics.ts';

/** Prometheus keeps a label value in memory as long as its data, and host names come from strangers. */
export const ROUTE_LABELS_MAX = 1000;
const OTHER = 'other';

/** Gives the first routes a label of their own. A route keeps its label while it exists, so that its counters do not jump. */
export class RouteLabels {
  readonly #labels = new Map<string, string>();
  #own = 0;

  /** The same numbers by label; there are at most ROUTE_LABELS_MAX + 1 labels. */
  labelled(snapshot: MetricsSnapshot): MetricsSnapshot {
    this.#forget(snapshot);
    const routes = new Map<string, RouteNumbers>();
    for (const route of snapshot.routes) {
      const name = this.#of(route.name);
      const before = routes.get(name);
      routes.set(name, before === undefined ? { ...route, name } : addRoute(before, route));
    }
    const { startupCommands, starts } = snapshot;
    return { ...snapshot, routes: [...routes.values()], startupCommands: this.#sums(startupCommands), starts: this.#sums(starts) };
  }

  #sums(counts: MetricsSnapshot['starts']): NonNullable<MetricsSnapshot['starts']> {
    const sums = new Map<string, Readonly<Record<string, number>>>();
    for (const [route, results] of counts ?? []) {
      const name = this.#of(route);
      sums.set(name, addUp(sums.get(name) ?? {}, results));
    }
    return sums;
  }

  #of(route: string): string {
    const known = this.#labels.get(route);
    if (known !== undefined) return known;
    const label = this.#own < ROUTE_LABELS_MAX ? route : OTHER;
    if (label !== OTHER) this.#own++;
    this.#labels.set(route, label);
    return label;
  }

  #forget({ routes, startupCommands, starts }: MetricsSnapshot): void {
    const present = new Set(routes.map(({ name }) => name));
    for (const [route, label] of this.#labels) {
      if (present.has(route) || startupCommands?.has(route) || starts?.has(route)) continue;
      this.#labels.delete(route);
      if (label !== OTHER) this.#own--;
    }
  }
}

/** Sums different routes, so their starts are added too. */
export function addRoute(a: RouteNumbers, b: RouteNumbers): RouteNumbers {
  const sum = sumRoutes(a, b);
  return a.starting === undefined || b.starting === undefined ? sum : { ...sum, starting: a.starting + b.starting };
}

function addUp(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum: Record<string, number> = { ...a };
  for (const [key, value] of Object.entries(b)) sum[key] = (sum[key] ?? 0) + value;
  return sum;
}
