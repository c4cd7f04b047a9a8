import { AGENTS_PER_ROUTE_MAX } from '../../config/agent-limits.ts';
import { routeOf } from '../../config/route-key.ts';
import {
  type AgentFacts,
  type AgentRoom,
  type Agents,
  GIVEN_LIVES_MS,
  type GivenState,
  type RouteRoom,
  type WithAgents,
  withAgents,
} from '../agents.ts';
import type { BellListener } from '../directory.ts';
import { DEAD_AFTER_MS } from '../limits.ts';
import { ringAt } from './bell.ts';

interface KnownAgent {
  readonly node: string;
  room: number;
  readonly facts: AgentFacts | undefined;
  readonly saidAt: number;
}

interface Given {
  readonly agent: string;
  readonly at: number;
  how: GivenState;
}

export interface MemoryAgentsOptions {
  readonly now: () => number;
  readonly listeners: ReadonlyMap<string, BellListener>;
  readonly endStart: Agents['giveBack'];
}

/** As the scripts `agents`, `give-start` and `given-start`. */
export class MemoryAgents implements Agents {
  readonly #options: MemoryAgentsOptions;
  readonly giveBack: Agents['giveBack'];
  readonly #routes = new Map<string, Map<string, KnownAgent>>();
  /** By route and start id. */
  readonly #given = new Map<string, Given>();

  constructor(options: MemoryAgentsOptions) {
    this.#options = options;
    this.giveBack = options.endStart;
  }

  async announce(route: string, node: string, agents: readonly AgentRoom[]): Promise<void> {
    const saidAt = this.#options.now();
    const known = this.#alive(routeOf(route));
    for (const [id, agent] of known) if (agent.node === node) known.delete(id);
    for (const { id, room, facts } of agents)
      if (known.size < AGENTS_PER_ROUTE_MAX || known.has(id)) known.set(id, { node, room, facts, saidAt });
    if (known.size > 0) this.#routes.set(routeOf(route), known);
    else this.#routes.delete(routeOf(route));
  }

  async room(route: string): Promise<RouteRoom> {
    const known = [...this.#alive(routeOf(route)).values()];
    return { agents: known.length, room: known.reduce((sum, { room }) => sum + room, 0) };
  }

  /** For people. */
  shown(route: string): WithAgents {
    return withAgents([...this.#alive(route)].map(([id, { node, room, facts }]) => ({ id, node, room, running: 0, ...facts })));
  }

  async give(route: string, startId: string, without: readonly string[]): Promise<string | null> {
    const { now, listeners } = this.#options;
    let [most, best]: [number, string | null] = [0, null];
    const known = this.#alive(routeOf(route));
    for (const [id, { room }] of known) if (room > most && !without.includes(id)) [most, best] = [room, id];
    const agent = best === null ? undefined : known.get(best);
    if (best === null || agent === undefined) return null;
    agent.room--;
    for (const [name, { at }] of this.#given) if (at <= now() - GIVEN_LIVES_MS) this.#given.delete(name);
    this.#given.set(nameOf(route, startId), { agent: best, at: now(), how: 'open' });
    ringAt(listeners, agent.node, { t: 'start', route, startId, agent: best });
    return best;
  }

  async answer(route: string, startId: string, agent: string, how: Exclude<GivenState, 'open'>): Promise<void> {
    const given = this.#given.get(nameOf(route, startId));
    if (given?.agent === agent) given.how = how;
  }

  async given(route: string, startId: string): Promise<GivenState> {
    return this.#given.get(nameOf(route, startId))?.how ?? 'open';
  }

  async forget(route: string, startId: string): Promise<void> {
    this.#given.delete(nameOf(route, startId));
  }

  #alive(route: string): Map<string, KnownAgent> {
    const oldest = this.#options.now() - DEAD_AFTER_MS;
    const known = this.#routes.get(route) ?? new Map<string, KnownAgent>();
    for (const [id, { saidAt }] of known) if (saidAt <= oldest) known.delete(id);
    return known;
  }
}

function nameOf(route: string, startId: string): string {
  return `${routeOf(route)} ${startId}`;
}
