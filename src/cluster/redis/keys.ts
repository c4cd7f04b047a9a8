/**
 * Every key and channel of pullproxy's directory in Redis, as plain text so that `redis-cli` reads them. BullMQ's keys begin
 * with `{pp-bull}`.
 */
import { DECLARATION_KINDS, type DeclarationKind } from '../declarations.ts';

/** ZSET: node → its last beat, Redis time in ms; it ends in .5 where the node knows that some rest. */
export const nodesKey = 'pp:nodes';

/** HASH: route → its settings as JSON. Also the channel that tells of a change. */
export const routesKey = 'pp:routes';

/** HASH: the name of the cluster and the highest version of declarations. In the hash slot of `routesKey`, as the next one. */
export const declaredKey = `pp:{${routesKey}}:about`;

/** HASH: `KIND NAME` → version of the declaration and a hash of its value; deleted ones stay with `-`. */
export const versionsKey = `pp:{${routesKey}}:versions`;

/** HASH: route → its pause as JSON. In the same hash slot. */
export const pausesKey = `pp:{${routesKey}}:pauses`;

/** Where the values of each kind of declaration are: name → JSON. All in the hash slot of `routesKey`. */
const DECLARED_VALUES: Readonly<Record<DeclarationKind, string>> = { settings: routesKey, pauses: pausesKey };

/** As the scripts of declarations take them. */
export const declarationKeys: readonly string[] = [declaredKey, versionsKey, ...DECLARATION_KINDS.map((kind) => DECLARED_VALUES[kind])];

/** STRING that exists while the directory is known to be incomplete after a loss. */
export const lossKey = 'pp:loss';

/** HASH: key → what was found there, when, and what was done: see mending.ts. */
export const asideKey = 'pp:aside';

/** STREAM: what happened in the cluster, the last some thousand events. */
export const eventsKey = 'pp:events';

/** HASH: node → JSON of when it stopped beating and what it had; until it is back or forgotten. */
export const missingKey = 'pp:missing';

/** HASH: route → what nodes have counted there in this bucket of time, a line for each node. All buckets lie in one hash slot. */
export function historyKey(bucket: number): string {
  return `pp:{pp:history}:${bucket}`;
}

/** ZSET: key of the route → until when it has its place, see key-places.ts. In the hash slot of the route. */
export function keyPlacesKey(route: string): string {
  return `pp:{${route}}:keys`;
}

/** HASH: agent of the route → its node, its free room, when that was said, and what it says of itself. In the hash slot of the route, as the next one. */
export function agentsKey(route: string): string {
  return `pp:{${route}}:agents`;
}

/** HASH: start that was given to an agent → the agent, and what it has answered. */
export function givenKey(route: string): string {
  return `pp:{${route}}:given`;
}

/** HASH: what the node says about itself. Also the channel that reaches it. */
export function nodeKey(node: string): string {
  return `pp:node:${node}`;
}

/** SET: routes at which the node has entries. */
export function nodeRoutesKey(node: string): string {
  return `pp:node:${node}:routes`;
}

/** Channel: clients are held and no slot is known. */
export const demandChannel = 'pp:demand';

/**
 * The keys of one route, in the order in which all scripts of a route get them. They share a hash tag: one script, one hash slot of
 * a Redis Cluster.
 *
 * | key | type | content |
 * | --- | --- | --- |
 * | `nodes` | ZSET | node → its last sign of life at this route, Redis time in ms; it ends in .5 where the node rests |
 * | `peers` | HASH | node → its address |
 * | `held` | ZSET | `<node>:<hold>` → arrival, Redis time in ms |
 * | `holders` | HASH | node → how many of `held` are its |
 * | `promised` | ZSET | member of `held` → when the promise of a slot lapses |
 * | `free` | HASH | node → idle slots there that are not promised |
 * | `serving` | HASH | node → clients that are being served through it |
 * | `instances` | HASH | instance → JSON of seq, concurrency, active, node, state, startId, version |
 * | `starting` | ZSET | start id → when the start counts as failed |
 * | `begun` | ZSET | start id → when it began, Redis time in ms |
 * | `jobs` | HASH | start id → when its job was taken, Redis time in ms |
 * | `meta` | HASH | `concurrency`: what an instance of this route last said it serves at once; what all instances come to, and the `newest`; of starts: `begun`, `wanted`, `restart…`, `failures` and what belongs to it |
 * | `ended` | HASH | start id → when what is left of it may be cleaned up, and how it ended; `lost:` and start id → the same of one whose instance is lost |
 * | `asks` | HASH | member of `held` → what it asks for, where the route's clients ask for anything; so are the next three |
 * | `lined` | ZSET | line, arrival and member of `held`, for each client without a promise |
 * | `lines` | ZSET | line (class and value) → its tag, see fair-order.ts; and the pace of each class |
 * | `ranked` | ZSET | member of `held` → class and arrival |
 * | `revision` | STRING | a number that moves when nodes that rest at the route are to send a beat |
 */
export function routeKeys(route: string): string[] {
  // Redis hashes the text between the first { and the next }; a route with braces would scatter its keys.
  if (!/^[^{}]+$/.test(route)) throw new RangeError(`not a route's name: ${JSON.stringify(route)}`);
  return ROUTE_PARTS.map(([part]) => `pp:{${route}}:${part}`);
}

/** The `revision` of `routeKeys`. */
export function revisionKey(route: string): string {
  return `pp:{${route}}:revision`;
}

/** STRING: the place in a line is taken, or was a moment ago. */
export function placeKey(route: string, place: string): string {
  return `pp:{${route}}:place:${place}`;
}

/** Each part and its type, in the order of the keys. */
const ROUTE_PARTS = [
  ['nodes', 'zset'],
  ['peers', 'hash'],
  ['held', 'zset'],
  ['holders', 'hash'],
  ['promised', 'zset'],
  ['free', 'hash'],
  ['serving', 'hash'],
  ['instances', 'hash'],
  ['starting', 'zset'],
  ['begun', 'zset'],
  ['jobs', 'hash'],
  ['meta', 'hash'],
  ['ended', 'hash'],
  ['asks', 'hash'],
  ['lined', 'zset'],
  ['lines', 'zset'],
  ['ranked', 'zset'],
  ['revision', 'string'],
] as const;

export const routeKeyTypes: readonly string[] = ROUTE_PARTS.map(([, type]) => type);
