import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, ROUTE, type World } from './world.ts';

const LOOK_EVERY_MS = 50;
const TROUBLE_EVERY_LOOKS = 20;

interface State {
  readonly routes?: readonly { readonly name: string; readonly trouble: { readonly reason: string } | null }[];
}

/** Looks at what every node itself counts, and finds the longest time in which a client was held while a slot lay idle somewhere. */
export class IdleWatch {
  longestMs = 0;
  /** When that was, and what the nodes counted at its end. */
  longestUntil = 0;
  longestSeen = '';
  #looks = 0;
  #running = true;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async run(): Promise<void> {
    let since: number | null = null;
    while (this.#running) {
      const seen = await Promise.all(this.#world.nodes.map(({ admin }) => numbers(admin)));
      for (const [i, node] of this.#world.nodes.entries()) node.hasRelayed = (seen[i]?.relayed ?? 0) > 0;
      const now = performance.now();
      const [held, free] = [sum(seen, 'held'), sum(seen, 'free')];
      // While something is broken on purpose, or just was, waiting is what clients do.
      const disturbed = this.#world.faults.some((fault) => fault.over > now - aftermathMs(fault)) || seen.includes(null);
      if (held > 0 && free > 0 && !disturbed) since ??= now;
      else since = null;
      if (since !== null && now - since > this.longestMs) {
        this.longestMs = now - since;
        this.longestUntil = now;
        this.longestSeen = seen.map((one) => `held ${one?.held} free ${one?.free}`).join(', ');
      }
      if (this.#looks++ % TROUBLE_EVERY_LOOKS === 0) void this.#lookForTrouble();
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Why starts fail, as the cluster has it. */
  async #lookForTrouble(): Promise<void> {
    for (const { admin } of this.#world.nodes) {
      const state = (await get(`http://127.0.0.1:${admin}/api/v1/state`).catch(() => null)) as State | null;
      const trouble = state?.routes?.find(({ name }) => name === ROUTE)?.trouble;
      if (trouble !== null && trouble !== undefined)
        this.#world.note(`starts fail: ${trouble.reason.replaceAll(/\b[a-z0-9]{12}\b/g, 'ID')}`);
      if (state !== null) return;
    }
  }

  stop(): void {
    this.#running = false;
  }
}

/** The directory is whole again two beats after Redis is, which the nodes notice within a second. */
function aftermathMs({ what }: Fault): number {
  return what.includes('Redis') ? 3_000 : 1_000;
}

interface Numbers {
  readonly held: number;
  readonly free: number;
  /** Slots lent on since the start. */
  readonly relayed: number;
}

function sum(seen: readonly (Numbers | null)[], key: keyof Numbers): number {
  return seen.reduce((total, one) => total + (one?.[key] ?? 0), 0);
}

async function get(url: string): Promise<unknown> {
  return (await fetch(url, { signal: AbortSignal.timeout(500) })).json();
}

async function numbers(admin: number): Promise<Numbers | null> {
  try {
    const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`, { signal: AbortSignal.timeout(500) })).text();
    const value = (name: string, label: string): number =>
      Number(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
    const ofRoute = `route="${ROUTE}"`;
    return {
      held: value('pullproxy_held', ofRoute),
      free: value('pullproxy_free_slots', ofRoute),
      relayed: value('pullproxy_handoffs_total', 'result="relayed"'),
    };
  } catch {
    return null;
  }
}
