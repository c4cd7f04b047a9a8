import { unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { parseRouteSettings, type RouteRecord } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { reasonOf } from './reason.ts';

/** How long a missing instance of a route with `minInstances` goes unnoticed while nobody asks for it. */
const CHECK_MS = 2_000;

/**
 * Asks for a look at every configured route with a minimum, again and again: such a route has its instances without
 * traffic. Everybody may watch at once; what is asked for twice is looked at once.
 * @returns ends it.
 */
export function watchMinimum(directory: Pick<StartDirectory, 'routes'>, request: (route: string) => void, log: Log): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    try {
      const routes = await directory.routes();
      for (const [route, record] of routes) if (hasMinimum(record) && !stopped) request(route);
    } catch (error) {
      log.debug({ reason: reasonOf(error) }, 'the routes could not be read; again soon');
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
    // The nodes say that these settings are bad. The other routes must not suffer.
    return false;
  }
}
