/**
 * The meaning of each warning and error of the log, and of some other lines, to an operator: code, place, cause, and what to do. A row is found by
 * the message that the log has; a test walks the source, so that no such line is without a row.
 */
import { NODE_ROWS } from './node-rows.ts';
import { OTHER_ROWS } from './other-rows.ts';
import { REDIS_ROWS } from './redis-rows.ts';
import { happened, type Row } from './row.ts';

export const CATALOGUE: Readonly<Record<string, Row>> = { ...NODE_ROWS, ...REDIS_ROWS, ...OTHER_ROWS };

/** Messages with a part that differs: how they begin, and the row that they have. */
export const BEGINNINGS: readonly (readonly [RegExp, string])[] = [
  [/^startup command "/, 'startup command failed'],
  [/^a secret of fewer than/, 'a short secret can be guessed'],
];

/** Lines of linkers: they have no way to the event log. Their node says what becomes of them. */
export const OF_LINKERS: ReadonlySet<string> = new Set([
  'no shell watches over this linker: if it is killed, its application runs on',
  'the application does not accept connections',
  'no connection to the application can be made',
  'the linker is idle and has no node to ask: it retires',
  'the application has not accepted a connection in time',
  'a link is lost',
  'an instance could not be started',
  'a node can not be linked',
  'the linker lends fewer slots than --concurrency says',
]);

/** Only these are for an operator to mend. Others connect to the port and leave: health checks, scanners, a linker that has linked elsewhere meanwhile. */
const REFUSED_FOR = /secret|proof|prove|certificate|tls|ssl|alert|version/i;
const BROKE_OFF = happened('linker_broke_off', (say) => `a connection to the backend port ended before it was a link: ${say('reason')}`);

/** A message that nobody has described here is shown all the same. */
export function rowOf(message: string, reason = ''): Row | null {
  if (message === 'linker refused' && !REFUSED_FOR.test(reason)) return BROKE_OFF;
  if (Object.hasOwn(CATALOGUE, message)) return CATALOGUE[message] ?? null;
  const known = BEGINNINGS.find(([beginning]) => beginning.test(message));
  return known === undefined ? null : (CATALOGUE[known[1]] ?? null);
}

const BY_CODE = new Map(Object.values(CATALOGUE).map((row) => [row.code, row]));

export function rowOfCode(code: string): Row | null {
  return BY_CODE.get(code) ?? null;
}
