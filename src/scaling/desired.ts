import { FAILURES_MAX, MINUTE_MS } from '../cluster/start-limits.ts';
import type { StartPlan } from '../cluster/starts.ts';

/** The facts of a route for the decision to start instances; all counts are of the whole cluster. */
export interface RouteNeed extends Omit<StartPlan, 'begun' | 'trouble'> {
  readonly min: number;
  readonly max: number;
  /** There are never more than `max` instances, also while one takes the place of another. */
  readonly isStrict?: boolean;
  /** From one start to the next; 0: no wait. */
  readonly startIntervalMs: number;
  /** Null: no limit. */
  readonly maxStartsPerMinute: number | null;
  /** The last starts failed. */
  readonly trouble: { readonly failures: number; readonly retryInMs: number } | null;
}

export interface Decision {
  /** How many instances there should be. When fewer are started now, how many there will be then. */
  readonly desired: number;
  /** How many to start now; never negative: instances leave by themselves. */
  readonly toStart: number;
  readonly reason: Reason;
  /** More are missing and may be started after this time; null when none are. */
  readonly laterMs: number | null;
}

/** Why the number is what it is, for logs and for people who ask why nothing starts. */
export type Reason = 'idle' | 'minimum' | 'demand' | 'first' | 'wanted' | 'restart' | 'maximum' | 'paced' | 'failing' | 'trial' | 'paused';

/** How often to look whether there is room now. */
const LOOK_AGAIN_MS = 1_000;

/**
 * `desired = clamp(ceil((held + active) / concurrency), min, max)`, `toStart = desired − ready − paused − starting`, as far as the route's
 * pace and its last failures allow. `concurrency` is what ready instances take on average now, each by its own limit.
 *
 * A client counts as many times as it costs slots. Held and active are exact, so there is no averaging window. While the concurrency of an instance is not known, one instance
 * is started: it tells its concurrency when it links. `max` wins over everything except a replacement: wanted instances, and a restart,
 * may be one instance beyond `max` for a while, because a deployment must work when `max` is 1; but not where `max` is strict.
 */
export function decide(demand: RouteNeed): Decision {
  const begun = demand.ready + demand.paused + demand.starting + (demand.isStrict === true ? demand.leaving : 0);
  const aim = aimOf(demand, begun);
  if (demand.pausedMs !== undefined)
    return { desired: begun, toStart: 0, reason: 'paused', laterMs: Math.min(demand.pausedMs, LOOK_AGAIN_MS) };
  const missing = Math.max(0, Math.min(aim.desired, aim.limit) - begun);
  const held = heldBack(demand, missing, begun);
  if (held !== null) return { desired: begun + Math.max(1, missing), ...held };
  const { toStart, laterMs } = paced(demand, missing);
  const reason = toStart < missing ? 'paced' : aim.desired > aim.limit ? 'maximum' : aim.reason;
  // Wanted instances wait for room, while clients ask again by themselves. A restart goes on until its instances are ready:
  // nothing else would notice that one of them has failed.
  const waits = aim.replaces && (aim.desired > aim.limit || (aim.reason === 'restart' && demand.starting + toStart > 0));
  return {
    desired: toStart > 0 ? begun + toStart : Math.min(aim.desired, aim.limit),
    toStart,
    reason,
    laterMs: laterMs ?? (waits ? LOOK_AGAIN_MS : null),
  };
}

interface Aim {
  readonly desired: number;
  readonly limit: number;
  readonly reason: Reason;
  /** Instances are wanted although there are enough. */
  readonly replaces: boolean;
}

function aimOf(demand: RouteNeed, begun: number): Aim {
  const { min, max, wanted, old, isStrict = false } = demand;
  const [needed, why] = need(demand);
  let [desired, reason]: [number, Reason] = needed >= min ? [needed, why] : [min, 'minimum'];
  // The newer instances alone must be enough.
  const withOld = old + Math.max(1, Math.min(desired, max));
  if (old > 0 && withOld > desired) [desired, reason] = [withOld, 'restart'];
  if (wanted > 0 && begun + wanted > desired) [desired, reason] = [begun + wanted, 'wanted'];
  const replaces = reason === 'restart' || reason === 'wanted';
  return { desired, reason, replaces, limit: replaces && max > 0 && !isStrict ? max + 1 : max };
}

function need({
  held,
  promised,
  heldExtra = 0,
  wantedExtra = 0,
  serving,
  slots,
  free,
  ready,
  paused,
  concurrency,
}: RouteNeed): [number, Reason] {
  // A promised slot has left `free` already, so it stands for its client. When there are more idle slots than slots, an instance has left and
  // its node has not said so yet. That is no demand.
  const bySlots = held - promised + wantedExtra + Math.max(0, slots - free);
  // A slot on its way to another node is neither free nor in use: its client would be counted twice when the promise has lapsed.
  const busy = serving === null ? bySlots : Math.min(bySlots, held + heldExtra + serving);
  if (busy === 0) return [0, 'idle'];
  // Those that are paused are there, and take nothing.
  if (concurrency === null || concurrency < 1) return [paused + 1, 'first'];
  // The limits of ready instances tell more about the next one than the last word of any other.
  return [paused + Math.ceil(slots > 0 && ready > 0 ? (busy * ready) / slots : busy / concurrency), 'demand'];
}

/** After several failures in a row, starts are tried one at a time, each after a longer pause; null when there is no reason to wait. */
function heldBack({ trouble, ready, starting, max }: RouteNeed, missing: number, begun: number): Omit<Decision, 'desired'> | null {
  if (trouble === null || trouble.failures < FAILURES_MAX) return null;
  // Clients who needed an instance got a 503: so nobody is held, and a start is tried all the same.
  const tries = missing > 0 || (begun === 0 && max > 0);
  if (!tries) return null;
  if (trouble.retryInMs > 0) return { toStart: 0, reason: 'failing', laterMs: trouble.retryInMs };
  if (starting > 0) return { toStart: 0, reason: 'trial', laterMs: LOOK_AGAIN_MS };
  return { toStart: 1, reason: 'trial', laterMs: ready > 0 && missing > 1 ? LOOK_AGAIN_MS : null };
}

function paced(demand: RouteNeed, missing: number): { toStart: number; laterMs: number | null } {
  const { startIntervalMs, maxStartsPerMinute, lastBegunMs, begunInMinute, oldestBegunMs } = demand;
  let toStart = missing;
  let laterMs = 0;
  if (startIntervalMs > 0 && missing > 0) {
    const waitMs = lastBegunMs === null ? 0 : Math.max(0, startIntervalMs - lastBegunMs);
    toStart = waitMs > 0 ? 0 : 1;
    laterMs = waitMs > 0 ? waitMs : startIntervalMs;
  }
  if (maxStartsPerMinute !== null && begunInMinute + toStart > maxStartsPerMinute) {
    toStart = Math.max(0, maxStartsPerMinute - begunInMinute);
    laterMs = Math.max(laterMs, MINUTE_MS - (oldestBegunMs ?? 0));
  }
  return { toStart, laterMs: toStart < missing ? laterMs : null };
}
