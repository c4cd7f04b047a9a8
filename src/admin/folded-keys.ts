/** In the directory each key of a route is a route of its own. People, programs and metrics see it under its route. */
import type { KeySnapshot, RouteSnapshot } from '../cluster/cluster.ts';
import { hasKey, nameParts, routeOf } from '../config/route-key.ts';
import type { RouteNumbers } from './metrics-source.ts';
import { addRoute } from './route-labels.ts';

/** Keys of one route that are told, those with the most held clients first. */
export const KEYS_SHOWN_MAX = 200;

/** Keys with what counts for them: the settings and the pause of their routes. */
export function ofTheirRoutes(routes: readonly RouteSnapshot[]): readonly RouteSnapshot[] {
  if (!routes.some(({ name }) => hasKey(name))) return routes;
  const known = new Map(routes.map((route) => [route.name, route]));
  return routes.map((route) => {
    const parent = hasKey(route.name) ? known.get(routeOf(route.name)) : undefined;
    return parent === undefined ? route : { ...route, settings: parent.settings, paused: parent.paused };
  });
}

/** Each route once, with the sums over its keys. */
export function foldKeys(routes: readonly RouteSnapshot[]): readonly RouteSnapshot[] {
  if (!routes.some(({ name }) => hasKey(name))) return routes;
  const families = Map.groupBy(routes, ({ name }) => routeOf(name));
  return [...families].map(([name, family]) => foldFamily(name, family)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function foldFamily(name: string, family: readonly RouteSnapshot[]): RouteSnapshot {
  const keys = family.filter((one) => one.name !== name);
  const route = family.find((one) => one.name === name) ?? nobody(name);
  return keys.length === 0 ? route : sumOf(route, keys);
}

/** `counts` of a key are those of its route, which come with the route itself. */
export function foldKeyNumbers(routes: readonly RouteNumbers[]): readonly RouteNumbers[] {
  const folded = new Map<string, RouteNumbers>();
  for (const route of routes) {
    const name = routeOf(route.name);
    const before = folded.get(name);
    folded.set(name, before === undefined ? { ...route, name } : addRoute(before, route));
  }
  return [...folded.values()];
}

function nobody(name: string): RouteSnapshot {
  const counts = { held: 0, oldestHeldMs: 0, active: 0, slots: 0, free: 0, starting: 0 };
  return { name, ...counts, starts: [], instances: [], settings: null, trouble: null, paused: null, overload: null, waitMs: null };
}

function sumOf(route: RouteSnapshot, keys: readonly RouteSnapshot[]): RouteSnapshot {
  const all = [route, ...keys];
  const sum = (read: (one: RouteSnapshot) => number): number => all.reduce((total, one) => total + read(one), 0);
  const worst = keys
    .filter(({ trouble }) => trouble !== null)
    .toSorted((a, b) => (b.trouble?.failures ?? 0) - (a.trouble?.failures ?? 0))[0];
  const failing = worst?.trouble ?? null;
  return {
    ...route,
    held: sum(({ held }) => held),
    oldestHeldMs: Math.max(...all.map(({ oldestHeldMs }) => oldestHeldMs)),
    active: sum(({ active }) => active),
    slots: sum(({ slots }) => slots),
    free: sum(({ free }) => free),
    starting: sum(({ starting }) => starting),
    waitMs: all.reduce<number | null>((most, { waitMs }) => (waitMs === null ? most : Math.max(most ?? 0, waitMs)), null),
    starts: all.flatMap(({ starts }) => starts),
    instances: all.flatMap(({ name, instances }) => instances.map((one) => ({ ...one, ...keyOf(name) }))).sort((a, b) => b.seq - a.seq),
    trouble: route.trouble ?? (failing && { ...failing, reason: `key ${nameParts(worst?.name ?? '').key}: ${failing.reason}` }),
    overload: all
      .map(({ overload }) => overload)
      .reduce((worst, one) => (one !== null && (worst === null || one.waitMs < worst.waitMs) ? one : worst)),
    keysAwake: keys.length,
    keys: keys
      .map(keySnapshot)
      .sort((a, b) => b.held - a.held || b.active - a.active || (a.key < b.key ? -1 : 1))
      .slice(0, KEYS_SHOWN_MAX),
  };
}

function keyOf(name: string): { readonly key?: string } {
  const { key } = nameParts(name);
  return key === null ? {} : { key };
}

function keySnapshot({ name, held, active, slots, starting, instances }: RouteSnapshot): KeySnapshot {
  return { key: nameParts(name).key ?? '', held, active, slots, starting, instances: instances.length };
}
