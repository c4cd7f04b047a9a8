/**
 * The difference of two states, so that thousands of routes are not written each second. What is applied to the former one gives the latter:
 * src/admin/dashboard/differences.js does it.
 */
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { InstanceSnapshot, NodeSnapshot, RouteSnapshot } from '../cluster/cluster.ts';
import type { AdminState } from './admin-state.ts';
import type { Trouble } from './trouble.ts';

interface Changed<Entry> {
  /** New ones, and such that changed. */
  readonly set: readonly Entry[];
  /** Names or ids of those that are there no longer. */
  readonly gone: readonly string[];
}

/** Its name, and what changed. All of a new one. */
type RouteChange = Partial<Omit<RouteSnapshot, 'name' | 'instances'>> & {
  readonly name: string;
  readonly instances?: Changed<InstanceSnapshot>;
};

type Rest = Omit<AdminState, 'nodes' | 'routes' | 'troubles'>;

export interface StateDifference {
  /** The number of the state that it changes. */
  readonly from: number;
  readonly state: Partial<Rest>;
  readonly nodes?: Changed<NodeSnapshot>;
  readonly routes?: Changed<RouteChange>;
  /** How many there are now, and those that are new at their place. */
  readonly troubles?: { readonly count: number; readonly set: Readonly<Record<number, Trouble>> };
}

/** Routes that are compared in one turn of the event loop: requests of clients must not wait for a large cluster. */
const PER_TURN = 500;

export async function stateDifference(from: number, before: AdminState, now: AdminState): Promise<StateDifference> {
  const { nodes: nodesBefore, routes: routesBefore, troubles: troublesBefore, ...restBefore } = before;
  const { nodes, routes, troubles, ...rest } = now;
  const state = changedFields<Rest>(restBefore, rest) ?? {};
  return {
    from,
    state,
    ...some(
      'nodes',
      changedEntries(nodesBefore, nodes, ({ id }) => id),
    ),
    ...some('routes', await changedRoutes(routesBefore, routes)),
    ...some('troubles', changedTroubles(troublesBefore, troubles)),
  };
}

async function changedRoutes(before: readonly RouteSnapshot[], now: readonly RouteSnapshot[]): Promise<Changed<RouteChange> | null> {
  const known = new Map(before.map((route) => [route.name, route]));
  const set: RouteChange[] = [];
  for (const [i, route] of now.entries()) {
    if (i % PER_TURN === PER_TURN - 1) await setImmediate();
    const change = changedRoute(known.get(route.name), route);
    known.delete(route.name);
    if (change !== null) set.push(change);
  }
  const gone = [...known.keys()];
  return set.length + gone.length === 0 ? null : { set, gone };
}

function changedRoute(before: RouteSnapshot | undefined, { name, instances, ...now }: RouteSnapshot): RouteChange | null {
  if (before === undefined) return { name, ...now, instances: { set: instances, gone: [] } };
  const { name: _, instances: instancesBefore, ...rest } = before;
  const fields = changedFields<typeof now>(rest, now);
  const own = changedEntries(instancesBefore, instances, ({ id }) => id);
  return fields === null && own === null ? null : { name, ...fields, ...some('instances', own) };
}

function changedFields<T extends object>(before: T, now: T): Partial<T> | null {
  const changed: Partial<T> = {};
  let isSame = true;
  for (const key of Object.keys({ ...before, ...now }) as (keyof T)[]) {
    if (isEqual(before[key], now[key])) continue;
    // JSON has no undefined: what is gone is null.
    changed[key] = now[key] ?? (null as T[keyof T]);
    isSame = false;
  }
  return isSame ? null : changed;
}

function changedEntries<T extends object>(before: readonly T[], now: readonly T[], idOf: (entry: T) => string): Changed<T> | null {
  const known = new Map(before.map((entry) => [idOf(entry), entry]));
  const set = now.filter((entry) => {
    const id = idOf(entry);
    const isSame = isEqual(known.get(id), entry);
    known.delete(id);
    return !isSame;
  });
  const gone = [...known.keys()];
  return set.length + gone.length === 0 ? null : { set, gone };
}

function changedTroubles(before: readonly Trouble[], now: readonly Trouble[]): StateDifference['troubles'] | null {
  const set = Object.fromEntries([...now.entries()].filter(([i, trouble]) => !isEqual(before[i], trouble)));
  return before.length === now.length && Object.keys(set).length === 0 ? null : { count: now.length, set };
}

/** Most values are numbers and texts. */
function isEqual(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && isDeepStrictEqual(a, b));
}

function some<Name extends string, T>(name: Name, value: T | null): { readonly [key in Name]?: T } {
  return (value === null ? {} : { [name]: value }) as { readonly [key in Name]?: T };
}
