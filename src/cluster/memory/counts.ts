/** Counts by node. */

export function setCount(counts: Map<string, number>, node: string, count: number): void {
  if (count > 0) counts.set(node, count);
  else counts.delete(node);
}

export function mostIdle(idle: ReadonlyMap<string, number>): string | null {
  let best: string | null = null;
  for (const [node, count] of idle) {
    const most = best === null ? 0 : (idle.get(best) ?? 0);
    if (best === null || count > most || (count === most && node < best)) best = node;
  }
  return best;
}

export function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
