import type { MetricsSnapshot } from '../../admin/metrics-source.ts';
import type { CommandCount } from '../../scaling/command-runner.ts';

/** Startup commands by route and result. */
export function commandCounts(commands: readonly CommandCount[]): NonNullable<MetricsSnapshot['startupCommands']> {
  const routes = new Map<string, Record<string, number>>();
  for (const { route, result, count } of commands) routes.set(route, { ...routes.get(route), [result]: count });
  return routes;
}
