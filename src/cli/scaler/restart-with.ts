import type { StartDirectory } from '../../cluster/directory.ts';

/**
 * Notes that every instance of a route that is there now is to be replaced, and has `order` look at the route. Returns how many they are:
 * with none nothing happens.
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
