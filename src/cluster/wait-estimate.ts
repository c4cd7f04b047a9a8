/**
 * How long a client that is held will wait, from what is known: who goes before it, the slots and how long requests keep them, and the starts under
 * way and how long starts took. The estimate is that of the queue's length (QL in Ibrahim and Whitt, "Real-time delay estimation in overloaded
 * multiserver queues", 2009), with slots that come later added when they come. Pure: times are durations in ms, and null means that it is not known.
 */

/** How fast a route serves, of late. */
export interface Pace {
  /** How long a request kept its slot. */
  readonly slotMs: number | null;
  /** From the beginning of a start until its instance was ready. */
  readonly startMs: number | null;
  /** Slots that a new instance brings. */
  readonly slotsPerStart: number | null;
}

/** What the cluster knows of a route. */
export interface RouteSupply extends Pace {
  /** Clients that are held, and how long the oldest of them has waited. */
  readonly held: number;
  readonly oldestHeldMs: number;
  /** Slots of ready instances. `free`: those in which nobody is served. */
  readonly slots: number;
  readonly free: number;
  /** Starts under way: how long ago each began, oldest first, as far as they are listed. */
  readonly startAgesMs: readonly number[];
}

/** Slots that are there in `inMs`, all of them idle. */
export interface ComingSlots {
  readonly inMs: number;
  readonly slots: number;
}

/** A start that takes longer than others did is late by as much again, but never due at once. */
const LATE_SHARE = 0.5;
const SOON_MS = 100;
/** Further starts change an estimate by little. */
export const START_AGES_MAX = 20;

/** How long a start that began `ageMs` ago will still take, where starts took `startMs`. */
export function startLeftMs(ageMs: number, startMs: number): number {
  return Math.max(SOON_MS, startMs - ageMs, (ageMs - startMs) * LATE_SHARE);
}

/** The slots of starts that are under way. Where nothing is there and nothing is under way, a start is about to begin. */
export function comingSlots({ slots, startMs, startAgesMs, slotsPerStart }: RouteSupply): readonly ComingSlots[] {
  if (startMs === null || slotsPerStart === null || slotsPerStart <= 0) return [];
  const ages = startAgesMs.length === 0 && slots === 0 ? [0] : startAgesMs;
  return ages.map((ageMs) => ({ inMs: startLeftMs(ageMs, startMs), slots: slotsPerStart })).sort((a, b) => a.inMs - b.inMs);
}

/** The wait of a client before which `ahead` others go. Null: too little is known. */
export function waitMs(ahead: number, supply: RouteSupply): number | null {
  const { slotMs } = supply;
  let { slots } = supply;
  let need = ahead + 1;
  let at = 0;
  for (const coming of comingSlots(supply)) {
    const passed = slotMs === null || slotMs <= 0 ? 0 : ((coming.inMs - at) * slots) / slotMs;
    if (slotMs !== null && passed >= need) return at + (need * slotMs) / slots;
    need -= passed + coming.slots;
    at = coming.inMs;
    if (need <= 0) return at;
    slots += coming.slots;
  }
  return slots === 0 || slotMs === null ? null : at + (need * slotMs) / slots;
}

/** The wait of a client that comes now and goes behind all others; 0: a slot is idle for it. */
export function newcomerWaitMs(supply: RouteSupply): number | null {
  return supply.free > supply.held ? 0 : waitMs(supply.held, supply);
}

/**
 * How many of the others' clients go before one that has waited for `waitedMs`, where the oldest has waited for `oldestMs` and all came at an even
 * rate since then.
 */
export function olderAmong(others: number, waitedMs: number, oldestMs: number): number {
  if (oldestMs <= 0 || waitedMs >= oldestMs) return waitedMs >= oldestMs && oldestMs > 0 ? 0 : others;
  return Math.round((others * (oldestMs - Math.max(0, waitedMs))) / oldestMs);
}

/** A route's picture with the wait of a client that comes now. */
export function estimated<T extends Pictured>({ slotMs, startMs, slotsPerStart, ...picture }: T & Pace): Omit<T, keyof Pace> & Estimated {
  const startAgesMs = picture.starts
    .map(({ ageMs }) => ageMs)
    .sort((a, b) => b - a)
    .slice(0, START_AGES_MAX);
  const ms = newcomerWaitMs({ ...picture, startAgesMs, slotMs, startMs, slotsPerStart });
  return { ...picture, waitMs: ms === null ? null : Math.round(ms) };
}

type Pictured = Pick<RouteSupply, 'held' | 'oldestHeldMs' | 'slots' | 'free'> & { readonly starts: readonly { readonly ageMs: number }[] };

export interface Estimated {
  /** How long a client that comes now will wait; null: that is not known. */
  readonly waitMs: number | null;
}

const RETRY_SECONDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300] as const;

/** Seconds for `Retry-After`: no less than the wait, in few steps, so that a response for each of them can be kept. */
export function retryAfterSeconds(ms: number): number {
  return RETRY_SECONDS.find((seconds) => seconds * 1_000 >= ms) ?? 300;
}
