/** Parses messages. Null: this version does not understand it. */
import { type DemandNotice, leaveRing, type Ring } from '../directory.ts';
import type { Rank } from '../fair-order.ts';
import {
  addressOf,
  countOf,
  instanceIdOf,
  isObject,
  lineKeyOf,
  nodeIdOf,
  objectOf,
  servedNameOf,
  startIdOf,
  textOf,
  timeOf,
} from '../values.ts';

/** A message contains a few names and numbers. */
export const MESSAGE_CHARS_MAX = 2_048;
const HOLD_ID_CHARS_MAX = 64;
/** The most slots of one message. */
const SLOTS_MAX = 1_000_000;
/** A day. */
const DELAY_MS_MAX = 86_400_000;

export function readRing(message: string): Ring | null {
  const said = contentOf(message);
  if (said === null) return null;
  if (said.t === 'leave') return leaveRing(countOf(said.delayMs, DELAY_MS_MAX) ?? undefined);
  if (said.t === 'reload') return { t: 'reload' };
  const route = servedNameOf(said.route);
  if (route === null) return null;
  if (said.t === 'look') return { t: 'look', route };
  if (said.t === 'start') {
    const [startId, agent] = [startIdOf(said.startId), instanceIdOf(said.agent)];
    return startId === null || agent === null || startId.includes(':') ? null : { t: 'start', route, startId, agent };
  }
  if (said.t === 'out') return typeof said.id === 'string' ? { t: 'out', route, id: textOf(said.id, HOLD_ID_CHARS_MAX) } : null;
  const count = countOf(said.count, SLOTS_MAX);
  if (count === null || count === 0) return null;
  if (said.t === 'coming') {
    const from = nodeIdOf(said.from);
    return from === null ? null : { t: 'coming', route, count, from };
  }
  const asker = said.t === 'want' ? readPeer(said.asker) : null;
  if (asker === null) return null;
  const instance = instanceIdOf(said.instance);
  return { t: 'want', route, count, asker, ...(instance === null ? {} : { instance }) };
}

export function readDemandNotice(message: string): DemandNotice | null {
  const said = contentOf(message);
  if (said === null) return null;
  const [route, node, oldest, saidAt] = [servedNameOf(said.route), nodeIdOf(said.node), timeOf(said.oldest), timeOf(said.saidAt)];
  if (route === null || node === null || oldest === null || saidAt === null || oldest > saidAt) return null;
  const rank = readRank(said.rank);
  return { route, node, oldest, saidAt, ...(rank === null ? {} : { rank }) };
}

function readRank(value: unknown): Rank | null {
  if (!isObject(value)) return null;
  const key = lineKeyOf(`${String(value.urgency)}${String(value.value)}`);
  const { tag } = value;
  return key === null || typeof tag !== 'number' ? null : { urgency: Number(key[0]), value: key.slice(1), tag };
}

function readPeer(value: unknown): { id: string; address: string } | null {
  const { id, address } = (typeof value === 'object' && value !== null ? value : {}) as { id?: unknown; address?: unknown };
  const [known, reached] = [nodeIdOf(id), addressOf(address)];
  return known === null || reached === null ? null : { id: known, address: reached };
}

function contentOf(message: string): Readonly<Record<string, unknown>> | null {
  return message.length <= MESSAGE_CHARS_MAX ? objectOf(message) : null;
}
