import { unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { parseRouteSettings, type RouteRecord } from '../config/route-settings.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** After this time a missing instance of a route with `minInstances` is noticed without clients. */
const CHECK_MS = 2_000;

/**
 * Asks for a look at every configured route with a minimum, at intervals: such a route has its instances without
 * traffic. Several scalers may do this at once, because a route that is asked for twice is looked at once.
 * @returns a function that ends it.
 */
export function watchMinimum(directory: Pick<StartDirectory, 'routes'>, request: (route: string) => void, log: Log): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    try {
      const routes = await directory.routes();
      for (const [route, record] of routes) if (hasMinimum(record) && !stopped) request(route);
    } catch (error) {
      log.debug({ reason: reasonOf(error) }, 'the routes could not be read; trying again');
    }
    if (!stopped) timer = setTimeout(again, CHECK_MS);
  };
  const again = (): void => unawaited('timer', look());
  again();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function hasMinimum(record: RouteRecord): boolean {
  try {
    return parseRouteSettings(record).minInstances > 0;
  } catch {
    // The nodes report that these settings are invalid. Other routes must not suffer.
    return false;
  }
}
