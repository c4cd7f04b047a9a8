import { AGENT_FAILURE_CHARS_MAX, AGENT_ROOM_MAX, MACHINE_CHARS_MAX } from '../../config/agent-limits.ts';
import { routeOf } from '../../config/route-key.ts';
import {
  type AgentFacts,
  type AgentRoom,
  type AgentSnapshot,
  type Agents,
  type GivenState,
  type RouteRoom,
  type WithAgents,
  withAgents,
} from '../agents.ts';
import type { Ring } from '../directory.ts';
import { countOf, instanceIdOf, isObject, nodeIdOf, objectOf, textOf, timeOf } from '../values.ts';
import { publishCommand } from './client.ts';
import type { RedisConnection } from './connection.ts';
import { agentsKey, givenKey, nodeKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { list, tuples } from './replies.ts';

export class RedisAgents implements Agents {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;
  readonly giveBack: Agents['giveBack'];

  constructor(redis: RedisConnection, mending: Mending, endStart: Agents['giveBack']) {
    this.#redis = redis;
    this.#mending = mending;
    this.giveBack = endStart;
  }

  async announce(route: string, node: string, agents: readonly AgentRoom[]): Promise<void> {
    const key = agentsKey(routeOf(route));
    const args = agents.flatMap(({ id, room, facts }) => [id, room, facts === undefined ? '' : JSON.stringify(facts)]);
    await this.#mending.ofKey(key, 'hash', () => this.#redis.run('agents', [key], [node, ...args]));
  }

  async room(route: string): Promise<RouteRoom> {
    const [agents, room] = await this.#give(route, ['']);
    return { agents: countOf(agents) ?? 0, room: countOf(room) ?? 0 };
  }

  async give(route: string, startId: string, without: readonly string[]): Promise<string | null> {
    const [, , best, home] = await this.#give(route, [startId, ...without]);
    const [agent, node] = [instanceIdOf(best), nodeIdOf(home)];
    if (agent === null || node === null) return null;
    const ring: Ring = { t: 'start', route, startId, agent };
    await this.#redis.call(publishCommand(this.#redis.client), nodeKey(node), JSON.stringify(ring));
    return agent;
  }

  async answer(route: string, startId: string, agent: string, how: Exclude<GivenState, 'open'>): Promise<void> {
    await this.#given(route, [startId, agent, how]);
  }

  async given(route: string, startId: string): Promise<GivenState> {
    const state = await this.#given(route, [startId, '', '']);
    return state === 'taken' || state === 'refused' ? state : 'open';
  }

  async forget(route: string, startId: string): Promise<void> {
    await this.#given(route, [startId, '', 1]);
  }

  async #give(route: string, args: readonly string[]): Promise<unknown[]> {
    const keys = [agentsKey(routeOf(route)), givenKey(routeOf(route))];
    return list(await this.#mending.ofKeys(keys, 'hash', () => this.#redis.run('giveStart', keys, args)));
  }

  #given(route: string, args: readonly (string | number)[]): Promise<unknown> {
    const key = givenKey(routeOf(route));
    return this.#mending.ofKey(key, 'hash', () => this.#redis.run('givenStart', [key], args));
  }
}

/** The agents of a route in the reply of `snapshot`: id, node, room and facts of each. */
export function readAgents(reply: unknown): WithAgents {
  return withAgents(
    tuples(reply, 4).flatMap(([said, home, free, json]): AgentSnapshot[] => {
      const [id, node, room] = [instanceIdOf(said), nodeIdOf(home), roomOf(free)];
      return id === null || node === null || room === null ? [] : [{ id, node, room, ...readFacts(json) }];
    }),
  );
}

/** What can not be used was not said. */
function readFacts(json: unknown): AgentFacts {
  const said = objectOf(json) ?? {};
  const numbers = (['starting', 'least', 'most'] as const).flatMap((name) => {
    const value = Object.hasOwn(said, name) ? roomOf(said[name]) : null;
    return value === null ? [] : [[name, value] as const];
  });
  const machine = textOf(said.machine, MACHINE_CHARS_MAX);
  const failure = isObject(said.failure) ? said.failure : {};
  const [reason, ageMs] = [textOf(failure.reason, AGENT_FAILURE_CHARS_MAX), timeOf(failure.ageMs)];
  return {
    running: roomOf(said.running) ?? 0,
    ...Object.fromEntries(numbers),
    ...(machine === '' ? {} : { machine }),
    ...(reason === '' || ageMs === null ? {} : { failure: { reason, ageMs } }),
  };
}

function roomOf(value: unknown): number | null {
  return countOf(value, AGENT_ROOM_MAX);
}
