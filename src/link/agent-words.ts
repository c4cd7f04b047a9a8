/**
 * What an agent and its node say on the link between them. An agent is a linker that runs several instances on its machine. This link carries no
 * slots and no streams: the agent says how much room it has (STATE), and the node hands it starts of the scaler (START). Each instance has links of
 * its own.
 */
import { AGENT_ROOM_MAX, MACHINE_CHARS_MAX } from '../config/agent-limits.ts';
import { isStartId } from '../config/ids.ts';
import { isServedName } from '../config/route-key.ts';
import { LinkProtocolError } from '../errors.ts';
import { parseJson } from './json.ts';

/** The payload of an agent's STATE. */
export interface AgentReport {
  /** So many more instances may be started there. */
  readonly room: number;
  /** Instances there, those that start or leave included. */
  readonly running: number;
  /** The rest is for people, and may be left out. Those instances of them that are not ready yet. */
  readonly starting?: number;
  /** How many it may run: MIN and MAX. */
  readonly least?: number;
  readonly most?: number;
  /** The name of the machine. */
  readonly machine?: string;
  /** Since the last instance became ready there, another one has ended before it was: why, and how long ago. */
  readonly failure?: { readonly reason: string; readonly ageMs: number };
}

/** The payload of a START from a node. */
export interface AgentStart {
  readonly startId: string;
  /** The agent's route, or a key of it. */
  readonly route: string;
}

/**
 * `taken`: the instance starts there. `refused`: another agent may take the start; also after `taken`, from one that leaves. `failed`: it was taken, and
 * the instance has ended before it was ready.
 */
export const AGENT_ANSWERS = ['taken', 'refused', 'failed'] as const;

/** The payload of a START from an agent. */
export interface AgentAnswer extends AgentStart {
  readonly how: (typeof AGENT_ANSWERS)[number];
  /** Why it was refused, or has failed; empty: the start was taken. */
  readonly reason: string;
}

/** The length of a `reason` that is read. */
export const AGENT_REASON_CHARS_MAX = 500;

/** @throws LinkProtocolError */
export function parseAgentReport(payload: Buffer): AgentReport {
  const { room, running, starting, least, most, machine, failure } = parseJson(payload);
  if (!isRoom(room) || !isRoom(running)) throw new LinkProtocolError('malformed STATE of an agent');
  return {
    room,
    running,
    ...(isRoom(starting) ? { starting } : {}),
    ...(isRoom(least) ? { least } : {}),
    ...(isRoom(most) ? { most } : {}),
    ...(typeof machine === 'string' ? { machine: machine.slice(0, MACHINE_CHARS_MAX) } : {}),
    ...failureIn(failure),
  };
}

/** Nobody depends on it: what is malformed was not said. */
function failureIn(said: unknown): Pick<AgentReport, 'failure'> {
  if (typeof said !== 'object' || said === null || !('reason' in said) || !('ageMs' in said)) return {};
  const { reason, ageMs } = said;
  if (typeof reason !== 'string' || !Number.isSafeInteger(ageMs) || Number(ageMs) < 0) return {};
  return { failure: { reason: reason.slice(0, AGENT_REASON_CHARS_MAX), ageMs: Number(ageMs) } };
}

/** @throws LinkProtocolError */
export function parseAgentStart(payload: Buffer): AgentStart {
  const { startId, route } = parseJson(payload);
  if (!isStartId(startId) || !isServedName(route)) throw new LinkProtocolError('malformed START for an agent');
  return { startId, route };
}

/** @throws LinkProtocolError */
export function parseAgentAnswer(payload: Buffer): AgentAnswer {
  const { how: said, reason } = parseJson(payload);
  const how = AGENT_ANSWERS.find((one) => one === said);
  if (how === undefined) throw new LinkProtocolError('malformed START of an agent');
  return { ...parseAgentStart(payload), how, reason: typeof reason === 'string' ? reason.slice(0, AGENT_REASON_CHARS_MAX) : '' };
}

function isRoom(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= AGENT_ROOM_MAX;
}
