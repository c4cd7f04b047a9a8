/**
 * Agents in the directory: linkers that start instances of their machine themselves. Their nodes say how much room each has, and the scaler gives a
 * start to the one with the most. It waits until the agent has taken it, and otherwise gives it to another. The room is a hint: the agent alone
 * knows it, and refuses what it has no room for.
 *
 * `route` is the route or a key of it. Agents belong to the route, and start instances of all of its keys.
 */

import type { StartFailure } from './starts.ts';

/** What an agent says of itself, for people. An agent of another kind may say less. */
export interface AgentFacts {
  /** Its instances, those that start or leave included. */
  readonly running: number;
  /** Those of them that are not ready yet. */
  readonly starting?: number;
  /** MIN and MAX of its `--instances`. */
  readonly least?: number;
  readonly most?: number;
  /** The name of its machine. */
  readonly machine?: string;
  /** An instance that it has started ended before it was ready, and none has become ready since. */
  readonly failure?: { readonly reason: string; readonly ageMs: number };
}

export interface AgentRoom {
  readonly id: string;
  /** So many more instances may be started there. */
  readonly room: number;
  readonly facts?: AgentFacts;
}

export interface AgentSnapshot extends AgentFacts {
  readonly id: string;
  /** Where it is linked. */
  readonly node: string;
  readonly room: number;
}

/** The agents of a route, as people see them. */
export interface RouteAgents {
  readonly count: number;
  /** Of all of them together, as are the next two. */
  readonly room: number;
  readonly running: number;
  readonly starting: number;
  /** Those whose last start has failed come first; at most AGENTS_SHOWN_MAX. */
  readonly shown: readonly AgentSnapshot[];
}

/** Of a route. Absent: it has none. */
export interface WithAgents {
  readonly agents?: RouteAgents;
}

export interface RouteRoom {
  readonly agents: number;
  /** Of all of them together. */
  readonly room: number;
}

/** `open`: the agent has not answered, or the start is not known any more. */
export type GivenState = 'open' | 'taken' | 'refused';

/** For nodes. */
export interface NodeAgents {
  /** These are all agents of the route that are linked at the node. Said again with each beat: an agent of which nobody speaks is soon forgotten. */
  announce(route: string, node: string, agents: readonly AgentRoom[]): Promise<void>;
  /** The agent's answer. */
  answer(route: string, startId: string, agent: string, how: Exclude<GivenState, 'open'>): Promise<void>;
  /** The start is over: it has failed, or (null) its agent is gone and it is to be decided again. Says nothing about one whose instance has linked. */
  giveBack(route: string, startId: string, failure: string | null): Promise<unknown>;
}

/** For scalers. */
export interface AgentStarts {
  room(route: string): Promise<RouteRoom>;
  /** Gives the start to the agent that has the most room, beside those in `without`: its node hears of it. Null: none has room. */
  give(route: string, startId: string, without: readonly string[]): Promise<string | null>;
  given(route: string, startId: string): Promise<GivenState>;
  /** The start is not waited for any more. */
  forget(route: string, startId: string): Promise<void>;
}

export type Agents = NodeAgents & AgentStarts;

/** More agents of one route are only counted. */
export const AGENTS_SHOWN_MAX = 100;

export function withAgents(all: readonly AgentSnapshot[]): WithAgents {
  if (all.length === 0) return {};
  const sum = (read: (one: AgentSnapshot) => number): number => all.reduce((total, one) => total + read(one), 0);
  const shown = all.toSorted((a, b) => failedAgo(a) - failedAgo(b) || (a.id < b.id ? -1 : 1)).slice(0, AGENTS_SHOWN_MAX);
  const [room, running, starting] = [sum((one) => one.room), sum((one) => one.running), sum((one) => one.starting ?? 0)];
  return { agents: { count: all.length, room, running, starting, shown } };
}

function failedAgo({ failure }: AgentSnapshot): number {
  return failure?.ageMs ?? Number.MAX_SAFE_INTEGER;
}

/** As the directory takes the end of a start. */
export function failureOf(reason: string | null): StartFailure | undefined {
  return reason === null ? undefined : { reason, wantedAgain: false };
}

/** How often a node says which agents it has. */
export const ANNOUNCE_MS = 1_000;
/** An entry of a start that nobody has removed is gone after this time. */
export const GIVEN_LIVES_MS = 60_000;
