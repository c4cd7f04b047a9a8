import { DEFAULT_ROUTE_SETTINGS, parseRouteSettings } from '../config/route-settings.ts';
import type { StartSnapshot } from './cluster.ts';
import type { RouteRecord } from './directory.ts';

/**
 * Starts as a snapshot shows them, oldest first. The directory keeps when each one counts as failed; it began one start
 * timeout before.
 * @param left start id and ms until it counts as failed
 */
export function startsOf(left: readonly (readonly [id: string, leftMs: number])[], settings: RouteRecord | null): readonly StartSnapshot[] {
  const timeoutMs = startTimeoutMs(settings);
  return left
    .map(([id, leftMs]) => ({ id, ageMs: Math.max(0, Math.round(timeoutMs - leftMs)), leftMs: Math.round(leftMs) }))
    .sort((a, b) => a.leftMs - b.leftMs);
}

function startTimeoutMs(settings: RouteRecord | null): number {
  try {
    return parseRouteSettings(settings ?? {}).startTimeoutMs;
  } catch {
    return DEFAULT_ROUTE_SETTINGS.startTimeoutMs;
  }
}
