/**
 * One check for each kind of value from Redis. Everybody who can write into Redis can write anything, so no value is
 * used before it passed its check here. Null: it did not pass.
 */
import { parseHostPort } from '../config/host-port.ts';
import { isInstanceId, isNodeId, isStartId } from '../config/ids.ts';
import { isServedName } from '../config/route-key.ts';
import { isRouteName } from '../config/route-name.ts';

/** Counts of clients, slots and starts: no cluster has more. */
export const COUNT_MAX = 1_000_000_000;
/** The largest concurrency of an instance. */
export const CONCURRENCY_MAX = 1_000_000;
/** Times and sequence numbers. JavaScript and Lua both keep whole numbers exactly up to here. */
export const WHOLE_MAX = Number.MAX_SAFE_INTEGER;
/** The longest id that a node can have, see config/ids.ts. */
export const NODE_CHARS_MAX = 72;
export const ADDRESS_CHARS_MAX = 260;
const LINE_KEY = /^[0-7][A-Za-z0-9.:_!+-]{0,48}$/;
const VERSION = /^[\w.+-]{1,64}$/;

/** A route's name in canonical form: no other text gets keys of its own, or reaches a startup command. */
export function routeNameOf(value: unknown): string | null {
  return isRouteName(value) ? value : null;
}

/** The same, or the name of a route's key. */
export function servedNameOf(value: unknown): string | null {
  return isServedName(value) ? value : null;
}

export function nodeIdOf(value: unknown): string | null {
  return isNodeId(value) ? value : null;
}

export function instanceIdOf(value: unknown): string | null {
  return isInstanceId(value) ? value : null;
}

/** A start that is one of several adds its number: `k3x:2`. */
export function startIdOf(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const [id, number, ...more] = value.split(':', 3);
  return isStartId(id) && (number === undefined || /^\d{1,6}$/.test(number)) && more.length === 0 ? value : null;
}

/** HOST:PORT that can be dialled. */
export function addressOf(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > ADDRESS_CHARS_MAX || value !== value.trim()) return null;
  const parsed = parseHostPort(value);
  return parsed !== null && parsed.port > 0 ? value : null;
}

export function versionOf(value: unknown): string | null {
  return typeof value === 'string' && VERSION.test(value) ? value : null;
}

/** A whole number from 0 to `max`, as a number or as the text that Redis makes of one. */
export function countOf(value: unknown, max = COUNT_MAX): number | null {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= max ? number : null;
}

/** A time in ms, or a sequence number. */
export function timeOf(value: unknown): number | null {
  return countOf(value, WHOLE_MAX);
}

/** Class and value of a line of held clients, see fair-order.ts. */
export function lineKeyOf(value: unknown): string | null {
  return typeof value === 'string' && LINE_KEY.test(value) ? value : null;
}

/** Text for people, which is cut: an error, a reason. */
export function textOf(value: unknown, charsMax: number): string {
  return typeof value === 'string' ? value.slice(0, charsMax) : '';
}

/** The object in a JSON text. Its names come from outside: look them up with `Object.hasOwn`. */
export function objectOf(json: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof json !== 'string') return null;
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An instance and the node where it is at home; empty: it is none. */
export function homeOf([instance, home]: readonly unknown[]): { readonly id: string; readonly node: string }[] {
  const [id, node] = [instanceIdOf(instance), nodeIdOf(home)];
  return id === null || node === null ? [] : [{ id, node }];
}
