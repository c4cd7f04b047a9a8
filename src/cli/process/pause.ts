/** `route pause` and `route resume`. */
import { about, counted } from '../../admin/words.ts';
import type { StillInFlight } from '../../cluster/cluster.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import { PauseBarrier } from '../../cluster/pause-barrier.ts';
import { PAUSED_ROUTES_MAX } from '../../cluster/pauses.ts';

/** Something is in flight after `--wait`. */
const STILL_IN_FLIGHT = 3;

export interface PauseValues {
  readonly pauseForMs: number;
  readonly pauseWaitMs: number;
  readonly pausedTunnels: 'wait' | 'ignore';
}

export async function pause(directory: StartDirectory, name: string, values: PauseValues): Promise<number> {
  const { pauseForMs: forMs, pauseWaitMs: waitMs, pausedTunnels } = values;
  const outcome = await new PauseBarrier(directory).pause(name, { forMs, waitMs, tunnels: pausedTunnels });
  if (outcome === 'unknown') {
    console.error(`pullproxy route: ${name} has no settings, and no instance is linked: there is nothing to pause`);
    return 1;
  }
  if (outcome === 'too_many') {
    console.error(`pullproxy route: ${PAUSED_ROUTES_MAX} routes are paused already ("pullproxy status" shows them)`);
    return 1;
  }
  const tunnels = outcome.tunnels === 0 ? '' : `, and ${counted(outcome.tunnels, 'tunnel')} that it does not wait for`;
  if (outcome.still.length === 0) {
    console.log(`${name}: paused for ${about(forMs)}, nothing is in flight${tunnels}`);
    return 0;
  }
  console.error(`pullproxy route: ${name} is paused, and after ${about(waitMs)} not everything is over${tunnels}:`);
  for (const one of outcome.still) console.error(`  ${words(one)}`);
  console.error(`  It stays paused for ${about(forMs)} in all: pause it again to wait on, or "pullproxy route resume ${name}".`);
  return STILL_IN_FLIGHT;
}

export async function resume(directory: StartDirectory, name: string): Promise<number> {
  const had = await new PauseBarrier(directory).resume(name);
  if (had) console.log(`${name}: resumed`);
  else console.error(`pullproxy route: ${name} is not paused`);
  return had ? 0 : 1;
}

function words({ node, why, count }: StillInFlight): string {
  if (why === 'unheard') return `node ${node} has not said that it knows of the pause`;
  if (why === 'silent') return `node ${node} stopped beating a moment ago, with ${counted(count, 'request')} in flight`;
  if (node === '') return `instances have ${counted(count, 'request')} that no node says is its own: a node may be cut off from Redis`;
  return `node ${node}: ${counted(count, 'request')} in flight`;
}
