/** Fields of HTTP/2 as flat lists: a name from outside is never a key of an object, and repeated fields stay apart. */

import { type IncomingHttpHeaders, type OutgoingHttpHeaders, sensitiveHeaders } from 'node:http2';
import { CONCURRENCY_FIELD, isForbiddenTrailer } from '../http1/trailers.ts';

export { CONCURRENCY_FIELD };

const NEVER_INDEXED: unique symbol = Symbol('never indexed');

/** Names, in lower case, and values, one after the other. */
export interface Fields extends ReadonlyArray<string> {
  /** Names that no hop may keep in its compression table (RFC 7541 section 7.1.3). */
  readonly [NEVER_INDEXED]?: readonly string[];
}

export const NO_FIELDS: Fields = [];

/** RFC 9113 section 8.2.2: fields of a connection of HTTP/1.1 have no place in HTTP/2. Node throws when it is to send one. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

export function isConnectionSpecific(name: string): boolean {
  return CONNECTION_SPECIFIC.has(name);
}

/** The fields of an event of Node's: `raw` as they came, `headers` as Node joins them. */
export function fieldsFrom(raw: readonly string[] | undefined, headers: IncomingHttpHeaders): Fields {
  // Node's types say that it is a list of numbers.
  const never = (headers as Record<symbol, readonly string[] | undefined>)[sensitiveHeaders] ?? [];
  return withNeverIndexed(raw ?? NO_FIELDS, never);
}

/** The names that no hop may keep in its compression table. */
export function neverIndexed(fields: Fields): readonly string[] {
  return fields[NEVER_INDEXED] ?? NO_FIELDS;
}

export function withNeverIndexed(fields: readonly string[], never: readonly string[]): Fields {
  return never.length === 0 ? fields : Object.assign(fields, { [NEVER_INDEXED]: never });
}

/** The fields whose names pass. */
export function only(fields: Fields, passes: (name: string) => boolean): Fields {
  const passing: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (passes(fields[i] as string)) passing.push(fields[i] as string, fields[i + 1] as string);
  }
  return withNeverIndexed(passing, fields[NEVER_INDEXED] ?? []);
}

/** Of fields of the same name all values, as RFC 9110 section 5.3 joins them; null: there is none. */
export function fieldValue(fields: Fields, name: string): string | null {
  let value: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) value = value === null ? String(fields[i + 1]) : `${value}, ${fields[i + 1]}`;
  }
  return value;
}

/** Whether a field may be a part of an answer. `te` belongs to requests, and pseudo-fields are said by other means. */
export function passesInResponse(name: string): boolean {
  return !CONNECTION_SPECIFIC.has(name) && name !== 'te' && name !== CONCURRENCY_FIELD && !name.startsWith(':');
}

export function passesInTrailers(name: string, message: 'request' | 'response'): boolean {
  return !name.startsWith(':') && !isConnectionSpecific(name) && !isForbiddenTrailer(name, message);
}

/**
 * The most bytes of one header block that sessions of ours send, by nghttp2's estimate. It is above what we read: every answer and
 * request head that was accepted can be sent. A block above nghttp2's default of 64 KiB would end the session.
 */
export const BLOCK_BYTES_MAX = 131_072;
/** How nghttp2 estimates a block (nghttp2_hd_deflate_bound). */
const BLOCK_OVERHEAD_BYTES = 17;
const FIELD_OVERHEAD_BYTES = 12;
/** `:status` and the `date` that Node adds. */
const OWN_FIELDS_BYTES = 128;

export function fitsBlock(fields: Fields): boolean {
  let bytes = BLOCK_OVERHEAD_BYTES + OWN_FIELDS_BYTES + (fields.length / 2) * FIELD_OVERHEAD_BYTES;
  for (const text of fields) bytes += text.length;
  return bytes <= BLOCK_BYTES_MAX;
}

/** The shape that Node's API takes. A null prototype: `constructor` and `__proto__` are names like any other. */
export function headersOf(fields: Fields): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i] as string, fields[i + 1] as string];
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [String(before), value];
  }
  const never = fields[NEVER_INDEXED];
  if (never !== undefined) Object.assign(headers, { [sensitiveHeaders]: never });
  return headers;
}
