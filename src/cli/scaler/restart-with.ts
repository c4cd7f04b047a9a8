import type { StartDirectory } from '../../cluster/directory.ts';
import { routeOf } from '../../config/route-key.ts';

/**
 * Marks every present instance of a route, and of its keys, as to be replaced, and calls `order` to look at the route. Returns their number;
 * without instances nothing happens.
 */
export async function restartWith(
  directory: Pick<StartDirectory, 'restart' | 'snapshot'>,
  order: (route: string) => Promise<void> | void,
  route: string,
): Promise<number> {
  const keys = (await directory.snapshot()).routes.filter(({ name }) => name !== route && routeOf(name) === route);
  let sum = 0;
  for (const name of [route, ...keys.map((key) => key.name)]) {
    const count = await directory.restart(name);
    if (count > 0) await order(name);
    sum += count;
  }
  return sum;
}
