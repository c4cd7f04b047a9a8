/** What nodes tell each other about the waits at a route: what they have measured of late, for an estimate (wait-estimate.ts). */
import type { RouteSupply } from './wait-estimate.ts';

/** What a node has measured since it was asked last. */
export interface Measured {
  /** Requests that were served through it, and the ms for which they kept their slots. */
  readonly requests: number;
  readonly ms: number;
}

export const NOTHING_MEASURED: Measured = Object.freeze({ requests: 0, ms: 0 });

/** What was measured counts half as much after this time. */
export const TOOK_HALF_MS = 10_000;
/** The median of so many starts counts. */
export const START_TIMES_MAX = 5;

/** Places that are taken at a time, in memory. */
export const CLAIMS_MAX = 10_000;

export interface WaitLog {
  /** Adds what was measured to what is known of the route, and returns all of that. Rejects with `DirectoryUnavailable`. */
  exchange(route: string, measured: Measured): Promise<RouteSupply>;
  /** The start's instance was ready after `ms`. Counted once for each start. */
  started(route: string, startId: string, ms: number): Promise<void>;
  /** A client comes back to its place in the line, see places.ts. False: another request has taken the place, for up to `forMs` since then. */
  claim(route: string, place: string, forMs: number): Promise<boolean>;
  /** The place may be taken again. */
  unclaim(route: string, place: string): Promise<void>;
}
