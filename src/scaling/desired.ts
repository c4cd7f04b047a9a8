/** What is known of a route when it is decided whether to start instances; all counts are of the whole cluster. */
export interface Demand {
  /** Held clients that nobody has promised a slot. */
  readonly held: number;
  /** Slots of ready instances. */
  readonly slots: number;
  /** Of these, the idle ones that nobody has been promised. */
  readonly free: number;
  readonly ready: number;
  /** Instances that were begun and are not ready yet. */
  readonly starting: number;
  /** Slots of one instance; null while no instance has ever said it. */
  readonly concurrency: number | null;
  readonly min: number;
  readonly max: number;
  /** Instances that somebody asked for beyond what the clients need: a deployment wants newer ones. */
  readonly force: number;
}

export interface Decision {
  /** How many instances there should be, started ones included. */
  readonly desired: number;
  /** How many of them nobody has begun yet; never negative: instances leave by themselves. */
  readonly toStart: number;
  readonly reason: Reason;
}

/** What set `desired`, for logs and for whoever asks why nothing starts. */
export type Reason = 'idle' | 'minimum' | 'demand' | 'first' | 'forced' | 'maximum';

/**
 * `desired = clamp(ceil((held + active) / concurrency), min, max)`, `toStart = desired − ready − starting`.
 *
 * Held and active are exact, so there is no averaging window. While nobody knows what an instance can take, one instance
 * is asked for: it will say it when it links. `max` wins over everything, `min` and `force` included.
 */
export function decide(demand: Demand): Decision {
  const { ready, starting, min, max } = demand;
  const begun = ready + starting;
  const [needed, why] = need(demand);

  let [desired, reason]: [number, Reason] = needed >= min ? [needed, why] : [min, 'minimum'];
  if (demand.force > 0 && begun + demand.force > desired) [desired, reason] = [begun + demand.force, 'forced'];
  if (desired > max) [desired, reason] = [max, 'maximum'];
  return { desired, toStart: Math.max(0, desired - begun), reason };
}

function need({ held, slots, free, concurrency }: Demand): [number, Reason] {
  // More idle slots than slots: an instance has left and its node has not said so yet. That is nobody's demand.
  const busy = held + Math.max(0, slots - free);
  if (busy === 0) return [0, 'idle'];
  if (concurrency === null) return [1, 'first'];
  return [Math.ceil(busy / concurrency), 'demand'];
}
