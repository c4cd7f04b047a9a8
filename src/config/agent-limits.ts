/** Limits of agents: linkers that start instances of their machine themselves. */

/** Instances of one agent, and so its free room at most. */
export const AGENT_ROOM_MAX = 1_000;
/** The name of an agent's machine. */
export const MACHINE_CHARS_MAX = 100;
/** What is said in the cluster of why its last start has failed. */
export const AGENT_FAILURE_CHARS_MAX = 200;
/** Agents of one route, in the directory and at one node. */
export const AGENTS_PER_ROUTE_MAX = 1_000;
