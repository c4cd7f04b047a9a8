import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../cluster/cluster.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';

const AGAIN_MS = 1_000;

/** Sets the configuration file's routes for the whole cluster, as soon as the directory answers; resolves when all are set or `signal` aborts. */
export async function setFileRoutes(
  cluster: Pick<Cluster, 'setRoute'>,
  routes: ReadonlyMap<string, RouteRecord>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const left = new Map(routes);
  let complained = false;
  while (left.size > 0 && !signal.aborted) {
    try {
      for (const [name, record] of left) {
        await cluster.setRoute(name, canonicalRouteRecord(record));
        left.delete(name);
      }
    } catch (error) {
      if (!complained) log.warn({ err: error }, "the routes of the configuration file can't be set yet");
      complained = true;
      await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
