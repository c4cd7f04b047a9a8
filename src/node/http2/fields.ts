/** Fields of HTTP/2 as flat lists: a name from outside is never a key of an object, and repeated fields stay apart. */

import { CONCURRENCY_FIELD, isForbiddenTrailer } from '../http1/trailers.ts';

export { CONCURRENCY_FIELD };

const NEVER_INDEXED: unique symbol = Symbol('never indexed');

/** Names, in lower case, and values, one after the other. */
export interface Fields extends ReadonlyArray<string> {
  /** Names that no hop may keep in its compression table (RFC 7541 section 7.1.3). */
  readonly [NEVER_INDEXED]?: readonly string[];
}

export const NO_FIELDS: Fields = [];

/** RFC 9113 section 8.2.2: fields of a connection of HTTP/1.1 have no place in HTTP/2. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Those of them that make a message malformed; the others are left out. */
const MALFORMED: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Whether fields belong to no other protocol, and none of them is a pseudo-field: those of trailers, or behind the pseudo-fields of a head. */
export function areRegular(fields: Fields, first: number): boolean {
  for (let i = first; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.startsWith(':') || MALFORMED.has(name)) return false;
  }
  return true;
}

export function isConnectionSpecific(name: string): boolean {
  return CONNECTION_SPECIFIC.has(name);
}

/** The names that no hop may keep in its compression table. */
export function neverIndexed(fields: Fields): readonly string[] {
  return fields[NEVER_INDEXED] ?? NO_FIELDS;
}

export function withNeverIndexed(fields: readonly string[], never: readonly string[]): Fields {
  return never.length === 0 ? fields : Object.assign(fields, { [NEVER_INDEXED]: never });
}

/** The fields whose names pass: themselves, where all do. */
export function only(fields: Fields, passes: (name: string) => boolean): Fields {
  let stays = 0;
  while (stays < fields.length && passes(fields[stays] as string)) stays += 2;
  if (stays === fields.length) return fields;
  const passing: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (passes(fields[i] as string)) passing.push(fields[i] as string, fields[i + 1] as string);
  }
  return withNeverIndexed(passing, fields[NEVER_INDEXED] ?? []);
}

/** All values of the fields with this name, joined as RFC 9110 section 5.3 says; null: there is none. */
export function fieldValue(fields: Fields, name: string): string | null {
  let value: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) value = value === null ? String(fields[i + 1]) : `${value}, ${fields[i + 1]}`;
  }
  return value;
}

/** Whether a field may be a part of a response. `te` belongs to requests, and pseudo-fields are said by other means. */
export function passesInResponse(name: string): boolean {
  return !CONNECTION_SPECIFIC.has(name) && name !== 'te' && name !== CONCURRENCY_FIELD && !name.startsWith(':');
}

export function passesInTrailers(name: string, message: 'request' | 'response'): boolean {
  return !name.startsWith(':') && !isConnectionSpecific(name) && !isForbiddenTrailer(name, message);
}

/** The most bytes of one header block that is sent. It is above what is read: every head that was accepted can be sent. */
export const BLOCK_BYTES_MAX = 131_072;
/** An upper bound of what HPACK adds. */
const BLOCK_OVERHEAD_BYTES = 17;
const FIELD_OVERHEAD_BYTES = 12;
/** `:status`, and the `date` that is added. */
const OWN_FIELDS_BYTES = 128;

export function fitsBlock(fields: Fields): boolean {
  let bytes = BLOCK_OVERHEAD_BYTES + OWN_FIELDS_BYTES + (fields.length / 2) * FIELD_OVERHEAD_BYTES;
  for (let i = 0; i < fields.length; i++) bytes += (fields[i] as string).length;
  return bytes <= BLOCK_BYTES_MAX;
}
