/** Gives starts to agents: linkers that start instances of their machine themselves. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentStarts } from '../cluster/agents.ts';
import type { Log } from '../log.ts';

/** How long an agent has to take a start. A link that broke is noticed sooner; who answers later starts one instance too many, which leaves when it is idle. */
const TAKE_MS_MAX = 5_000;
/** How often to look whether it has. The first looks come sooner. */
const LOOK_MS = 50;
const FIRST_LOOK_MS = 2;
/** Routes of which it is remembered that they have no agent. */
const ROUTES_SAID_MAX = 1_000;
/** More agents are not asked for one start: the next round asks again. */
const ASKED_MAX = 5;

/** Nobody took the start: it did not fail, and is decided again. */
export class NobodyTookIt extends Error {
  override readonly name = 'NobodyTookIt';
}

export interface GivenTo {
  readonly agent: string;
  readonly durationMs: number;
}

/**
 * Gives the start to the agent of its route with the most room, and to the next one if that one does not take it. Null: none has room, or none takes it.
 * @throws Error when the directory does not answer: whether an agent has it is then unknown.
 */
export async function giveToAgent(
  agents: AgentStarts,
  route: string,
  startId: string,
  wait: (ms: number) => Promise<unknown> = delay,
): Promise<GivenTo | null> {
  const beganAt = performance.now();
  const asked: string[] = [];
  while (asked.length < ASKED_MAX) {
    const agent = await agents.give(route, startId, asked);
    if (agent === null) return null;
    asked.push(agent);
    const isTaken = await takes(agents, route, startId, wait);
    await agents.forget(route, startId);
    if (isTaken) return { agent, durationMs: Math.round(performance.now() - beganAt) };
  }
  return null;
}

async function takes(agents: AgentStarts, route: string, startId: string, wait: (ms: number) => Promise<unknown>): Promise<boolean> {
  let waitedMs = 0;
  for (let lookMs = FIRST_LOOK_MS; waitedMs < TAKE_MS_MAX; lookMs = Math.min(LOOK_MS, lookMs * 2)) {
    await wait(lookMs);
    waitedMs += lookMs;
    const state = await agents.given(route, startId);
    if (state !== 'open') return state === 'taken';
  }
  return false;
}

/** How many starts may begin where agents are the only means; says once when a route has none. */
export class AgentRoom {
  readonly #agents: Pick<AgentStarts, 'room'>;
  readonly #log: Pick<Log, 'warn'>;
  /** Routes of which it was said that they have no agent. */
  readonly #said = new Set<string>();

  constructor(agents: Pick<AgentStarts, 'room'>, log: Pick<Log, 'warn'>) {
    this.#agents = agents;
    this.#log = log;
  }

  async of(route: string): Promise<number> {
    const { agents, room } = await this.#agents.room(route);
    if (agents > 0) this.#said.delete(route);
    else this.#sayNone(route);
    return room;
  }

  #sayNone(route: string): void {
    if (this.#said.has(route) || this.#said.size >= ROUTES_SAID_MAX) return;
    this.#said.add(route);
    this.#log.warn({ route }, 'a start has to wait: no agent of its route is linked, and there is no startup command');
  }
}
