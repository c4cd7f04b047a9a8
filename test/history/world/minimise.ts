/**
 * A smaller schedule that still shows something: parts of it are left out, larger ones first, as in delta debugging (Zeller 2002). What processes do
 * is not the same in each replay, so a part that was left out in vain once may have been left out in vain for no reason: it is a smaller schedule, not the smallest.
 */
export async function minimise<T>(
  whole: readonly T[],
  replaysMax: number,
  shows: (fewer: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let least = whole;
  let replays = 0;
  for (let parts = 2; least.length > 1 && parts <= least.length && replays < replaysMax; ) {
    const size = Math.ceil(least.length / parts);
    let smaller: readonly T[] | null = null;
    for (let from = 0; from < least.length && smaller === null && replays < replaysMax; from += size) {
      const fewer = [...least.slice(0, from), ...least.slice(from + size)];
      replays++;
      if (await shows(fewer)) smaller = fewer;
    }
    if (smaller !== null) {
      least = smaller;
      parts = Math.max(2, parts - 1);
    } else {
      parts *= 2;
    }
  }
  return least;
}
