/** What is done to the cluster and when: all of it from one seed, before anything begins, so that it can be done again, also in part. */
import { Random } from '../../e2e/chaos/random.ts';
import { hasOwnNetwork } from './own-network.ts';

/** How often each act is chosen, beside the others. */
export const WEIGHTS = {
  'kill a node': 3,
  'restart a node': 3,
  'a node is back at once': 2,
  'end all nodes': 0.5,
  'restart all nodes one after the other': 0.5,
  'freeze a node': 2,
  'freeze a node for a minute': 0.1,
  'a node hears no linker': 2,
  'links of a node break': 2,
  'a node loses Redis': 2,
  'a node has no file descriptors': 1,
  'the clock of a node jumps': 1,
  'packets to a node are lost': 1,
  'packets from a node are lost': 1,
  'large packets of a node are lost': 1,
  'packets from clients to a node are lost': 1,
  'packets between a node and Redis are lost': 1,
  'kill a linker': 3,
  'kill all linkers of a route': 1,
  'drain a linker': 4,
  'freeze a linker': 2,
  'freeze a linker for a minute': 0.1,
  'kill an application': 2,
  'freeze an application': 1,
  'freeze an application for a minute': 0.1,
  'kill a scaler': 2,
  'restart a scaler': 1,
  'freeze a scaler': 1,
  'freeze a scaler for a minute': 0.1,
  'freeze Redis': 1,
  'freeze Redis for a minute': 0.05,
  'freeze all processes of one kind for a minute': 0.05,
  'suspend the host': 0.5,
  'empty Redis': 1,
  'restart Redis empty': 1,
  'connections to Redis break': 2,
  'slow Redis': 1,
  'full Redis': 1,
  'scripts of Redis are flushed': 1,
  'Redis has an old snapshot': 1,
  'the clock of Redis jumps': 1,
  'Sentinels fail over': 6,
  'messages of Redis are lost': 2,
  'pause a route': 2,
  'restart a route': 1,
  'scale a route': 2,
  'move a limit': 6,
  'rotate secrets': 1,
} as const;

export type ActName = keyof typeof WEIGHTS;

export interface Act {
  readonly n: number;
  readonly what: ActName;
  /** From the begin of the run. */
  readonly atMs: number;
  readonly forMs: number;
  /** In [0, 1): which node, instance, scaler or route it hits. */
  readonly target: number;
}

/** Acts begin so far apart on average; each lasts for longer than that now and then, so that they overlap. */
const GAP_MS = { least: 150, most: 3_000 };
const LASTS_MS = { least: 300, most: 5_500 };
/** Clients come first. */
const SETTLE_MS = 4_000;

export function isActName(name: string): name is ActName {
  return Object.hasOwn(WEIGHTS, name);
}

/** How often each act is chosen that is possible here. `only`: which of them; none: all. */
export function weightsOf(only: readonly ActName[], sentinels: boolean): Partial<Record<ActName, number>> {
  const weights: Partial<Record<ActName, number>> = {};
  for (const [name, weight] of Object.entries(WEIGHTS) as [ActName, number][]) {
    if (only.length > 0 && !only.includes(name)) continue;
    const isOfNetwork = name.includes('packets') || name === 'the clock of Redis jumps';
    if (isOfNetwork && !hasOwnNetwork()) continue;
    // Nothing else is done to a Redis that is several servers.
    if (name === 'Sentinels fail over' ? !sentinels : sentinels && name.includes('Redis')) continue;
    weights[name] = weight;
  }
  return weights;
}

/** `may`: which acts are possible. */
export function scheduleOf(seed: number, ms: number, may: Readonly<Partial<Record<ActName, number>>>): Act[] {
  const random = new Random(seed);
  const acts: Act[] = [];
  for (let atMs = SETTLE_MS; atMs < ms; atMs += random.between(GAP_MS.least, GAP_MS.most)) {
    const what = random.weighted(may as Record<ActName, number>);
    const forMs = random.between(LASTS_MS.least, LASTS_MS.most);
    acts.push({ n: acts.length, what, atMs: Math.round(atMs), forMs: Math.round(forMs), target: random.next() });
  }
  return acts;
}
