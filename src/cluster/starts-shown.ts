import type { StartSnapshot } from './cluster.ts';

/**
 * Starts as a snapshot shows them, oldest first.
 * @param left start id, ms until it counts as failed, and ms since it began; null when the directory does not say
 */
export function startsOf(left: readonly (readonly [id: string, leftMs: number, ageMs: number | null])[]): readonly StartSnapshot[] {
  return left
    .map(([id, leftMs, ageMs]) => ({ id, ageMs: Math.max(0, Math.round(ageMs ?? 0)), leftMs: Math.round(leftMs) }))
    .sort((a, b) => a.leftMs - b.leftMs);
}
