/** Overloaded routes, as nodes tell them with their beats. */
import type { NodeSnapshot, OverloadedHere, RouteOverload } from './cluster.ts';
import { countOf, isObject, routeNameOf } from './values.ts';

/** One node tells of so many. */
export const OVERLOADED_MAX = 20;

export function readOverloadedHere(said: unknown): OverloadedHere[] {
  if (!isObject(said)) return [];
  const [route, waitMs] = [routeNameOf(said.route), countOf(said.waitMs)];
  return route === null || waitMs === null ? [] : [{ route, waitMs }];
}

/** As people see it: a route is overloaded if it is so at any node. */
export function overloadOf(route: string, nodes: readonly Pick<NodeSnapshot, 'overloaded'>[]): RouteOverload | null {
  const waits = nodes.flatMap(({ overloaded }) => overloaded?.find((one) => one.route === route)?.waitMs ?? []);
  return waits.length === 0 ? null : { waitMs: Math.min(...waits) };
}
