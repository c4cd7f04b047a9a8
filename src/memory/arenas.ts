/** Memory in which what is sent is put together, and which is used again when the kernel has taken it. */

const ARENA_BYTES = 131_072;
/** Blocks that are kept for all links together. The streams' windows bound what is on its way at a time. */
const SPARE_ARENAS_MAX = 32;

/** Written from `start` on when it is flushed. */
export interface Arena {
  readonly bytes: Buffer;
  start: number;
  end: number;
  /** Writes that are under way. */
  writes: number;
}

const spare: Arena[] = [];

/** An empty one. */
export function takeArena(): Arena {
  return spare.pop() ?? newArena(ARENA_BYTES);
}

/** Gives back one of `takeArena` that is empty. */
export function returnArena(arena: Arena): void {
  if (spare.length < SPARE_ARENAS_MAX) spare.push(arena);
}

export function newArena(bytes: number): Arena {
  return { bytes: Buffer.allocUnsafeSlow(bytes), start: 0, end: 0, writes: 0 };
}
