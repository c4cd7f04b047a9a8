import type { StartDirectory } from '../../cluster/directory.ts';

/**
 * Marks every present instance of a route as to be replaced, and calls `order` to look at the route. Returns their number;
 * without instances nothing happens.
 */
export async function restartWith(
  directory: Pick<StartDirectory, 'restart'>,
  order: (route: string) => Promise<void> | void,
  route: string,
): Promise<number> {
  const count = await directory.restart(route);
  if (count > 0) await order(route);
  return count;
}
