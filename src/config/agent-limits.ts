/** Limits of agents: linkers that start instances of their machine themselves. */

/** Instances of one agent, and so its free room at most. */
export const AGENT_ROOM_MAX = 1_000;
/** Agents of one route, in the directory and at one node. */
export const AGENTS_PER_ROUTE_MAX = 1_000;
