/**
 * Pauses a route and waits until nothing of it is in flight anywhere. Each node that beats has to say that it knows the pause and has nothing in flight.
 * A node that stopped beating is waited for until linkers have taken its slots back: a link that is silent for three seconds ends, and without a link
 * a node that wakes up has no slot. If only its way to Redis is lost it serves on, so then the instances' own counts have to be 0, too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { routeOf } from '../config/route-key.ts';
import type { MissingNode, NodeSnapshot, Pause, PauseOptions, PauseOutcome, RoutePauses, StillInFlight } from './cluster.ts';
import type { StartDirectory } from './directory.ts';
import { pausedAt } from './pauses.ts';

/** Since it was missed, which is three seconds after its last beat. */
const SILENT_MS = 5_000;
const LOOK_MS = 50;

/** For an operator. */
export class PauseBarrier implements RoutePauses {
  readonly #directory: Pausing;

  constructor(directory: Pausing) {
    this.#directory = directory;
  }

  /** `unknown`: no route has this name. `too_many`: so many are paused already. */
  async pause(route: string, options: PauseOptions): Promise<PauseOutcome | 'unknown' | 'too_many'> {
    const isKnown = (await this.#directory.snapshot()).routes.some(({ name }) => routeOf(name) === route);
    return isKnown ? ((await pauseRoute(this.#directory, route, options)) ?? 'too_many') : 'unknown';
  }

  /** False: it was not paused. */
  resume(route: string): Promise<boolean> {
    return this.#directory.resume(route);
  }
}

type Pausing = Pick<StartDirectory, 'pause' | 'resume' | 'nodes' | 'missing' | 'snapshot'>;

/** Null: too many routes are paused. */
async function pauseRoute(directory: Pausing, route: string, { forMs, waitMs, tunnels }: PauseOptions): Promise<PauseOutcome | null> {
  const until = performance.now() + waitMs;
  const pause = await directory.pause(route, forMs, tunnels);
  if (pause === null) return null;
  for (;;) {
    const outcome = await look(directory, route, pause);
    const leftMs = until - performance.now();
    if (outcome.still.length === 0 || leftMs <= 0) return outcome;
    await delay(Math.min(LOOK_MS, leftMs));
  }
}

async function look(directory: Pausing, route: string, pause: Pause): Promise<PauseOutcome> {
  const [nodes, missing] = await Promise.all([directory.nodes(), directory.missing()]);
  const outcome = judge(route, pause, nodes, missing);
  if (outcome.still.length > 0 || missing.length === 0) return outcome;
  const seen = (await directory.snapshot()).routes.filter(({ name }) => routeOf(name) === route);
  const beyond = seen.reduce((sum, { active }) => sum + active, 0) - outcome.tunnels;
  return beyond <= 0 ? outcome : { ...outcome, still: [{ node: '', why: 'in flight', count: beyond }] };
}

export function judge(
  route: string,
  pause: Pause,
  nodes: readonly Pick<NodeSnapshot, 'id' | 'paused'>[],
  missing: readonly Pick<MissingNode, 'id' | 'ageMs' | 'active'>[],
): PauseOutcome {
  const still: StillInFlight[] = [];
  let ignored = 0;
  for (const { id, paused } of nodes) {
    const said = pausedAt(paused, route, pause.id);
    const tunnels = pause.tunnels === 'ignore' ? (said?.tunnels ?? 0) : 0;
    ignored += tunnels;
    if (said === null) still.push({ node: id, why: 'unheard', count: 0 });
    else if (said.inFlight > tunnels) still.push({ node: id, why: 'in flight', count: said.inFlight - tunnels });
  }
  for (const { id, ageMs, active } of missing) if (ageMs < SILENT_MS) still.push({ node: id, why: 'silent', count: active });
  return { pause, still, tunnels: ignored };
}
