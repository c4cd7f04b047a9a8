/**
 * Paused routes. A pause is a declaration of the operator, as settings are: it has a version, every node keeps it and gives it back to a directory that
 * has lost it. It ends at a time of the directory's clock, or when it is deleted.
 */
import { LONGEST_TIMER_MS } from '../config/duration.ts';
import type { KnownPause, NodeSnapshot, Pause, PausedHere, PausedRoute } from './cluster.ts';
import { countOf, isObject, objectOf, routeNameOf, timeOf } from './values.ts';

/** A route is paused for no longer, and no more routes are paused at once: each node says of each of them what is in flight. */
const PAUSE_FOR_MS_MAX = LONGEST_TIMER_MS;
export const PAUSED_ROUTES_MAX = 24;

/** Null: this is none. */
export function readPause(json: unknown): Pause | null {
  const said = objectOf(json);
  const [id, sinceMs, untilMs] = [timeOf(said?.id), timeOf(said?.sinceMs), timeOf(said?.untilMs)];
  if (said === null || id === null || sinceMs === null || untilMs === null || untilMs < sinceMs) return null;
  return { id, sinceMs, untilMs, tunnels: said.tunnels === 'ignore' ? 'ignore' : 'wait' };
}

/** How long it goes on. A clock that was set, or a directory with another clock, makes no pause longer than it was meant to be. */
export function leftMsOf({ sinceMs, untilMs }: Pick<Pause, 'sinceMs' | 'untilMs'>, now: number): number {
  return Math.max(0, Math.min(untilMs - now, untilMs - sinceMs, PAUSE_FOR_MS_MAX));
}

export function readPausedHere(said: unknown): PausedHere[] {
  if (!isObject(said)) return [];
  const [route, id, inFlight] = [routeNameOf(said.route), timeOf(said.id), countOf(said.inFlight)];
  return route === null || id === null || inFlight === null ? [] : [{ route, id, inFlight, tunnels: countOf(said.tunnels) ?? 0 }];
}

/** A count that a node does not tell is not known. */
export function pausedAt(said: readonly PausedHere[] | undefined, route: string, id: number): PausedHere | null {
  return said?.find((one) => one.route === route && one.id === id) ?? null;
}

/** As people see it: what each node says that knows of it. */
export function pausedRoute(
  route: string,
  { now, pauses }: { readonly now: number; readonly pauses: ReadonlyMap<string, Pause> },
  nodes: readonly Pick<NodeSnapshot, 'paused'>[],
): PausedRoute | null {
  const pause = pauses.get(route);
  if (pause === undefined) return null;
  const inFlight = nodes.reduce((sum, { paused }) => sum + (paused?.find((one) => one.route === route)?.inFlight ?? 0), 0);
  return { sinceMs: Math.max(0, Math.round(now - pause.sinceMs)), leftMs: Math.round(leftMsOf(pause, now)), inFlight };
}

/** As nodes hear of them: those that are not over. */
export function knownPauses(pauses: ReadonlyMap<string, Pause>, now: number): ReadonlyMap<string, KnownPause> {
  return new Map(
    [...pauses].flatMap(([route, pause]): [string, KnownPause][] => {
      const leftMs = leftMsOf(pause, now);
      return leftMs === 0 ? [] : [[route, { id: pause.id, forMs: pause.untilMs - pause.sinceMs, leftMs }]];
    }),
  );
}
