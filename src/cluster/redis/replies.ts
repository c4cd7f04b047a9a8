/**
 * Parses the replies of scripts: flat lists of numbers and strings, -1 for a missing value. Names, addresses and JSON in them may be
 * written by anybody: a value that does not pass its check in values.ts is left out.
 */
import type {
  InstanceInfo,
  InstanceSnapshot,
  InstanceState,
  LimitSetter,
  NodeSnapshot,
  Pause,
  Peer,
  RouteResponses,
  RouteSnapshot,
  WaitCounts,
} from '../cluster.ts';
import { DECLARATION_KINDS, type Declaration, type StoredDeclarations, VERSION_MAX } from '../declarations.ts';
import {
  DirectoryUnavailable,
  type HoldChange,
  type HoldReply,
  type Matched,
  type Move,
  type NodeBeatReply,
  type RouteBeatReply,
} from '../directory.ts';
import { type FirstClient, lineKey } from '../fair-order.ts';
import { OVERLOADED_MAX, readOverloadedHere } from '../overloads.ts';
import { leftMsOf, PAUSED_ROUTES_MAX, readPause, readPausedHere } from '../pauses.ts';
import { REASON_CHARS_MAX } from '../start-limits.ts';
import type { StartTrouble } from '../starts.ts';
import { startsOf } from '../starts-shown.ts';
import {
  addressOf,
  CONCURRENCY_MAX,
  countOf,
  homeOf,
  instanceIdOf,
  isObject,
  lineKeyOf,
  nodeIdOf,
  objectOf,
  routeNameOf,
  startIdOf,
  textOf,
  timeOf,
  versionOf,
} from '../values.ts';

const NO_BOUND = -1;
const AS_BEFORE = -1;
const HOLD_ID_CHARS_MAX = 64;
const REVISION_CHARS_MAX = 32;
/** Bounds of a histogram. */
const WAIT_COUNTS_MAX = 64;
const CLUSTER_CHARS_MAX = 64;
/** Routes with 5xx that one node tells of. */
const FAILING_MAX = 20;
const WAIT_BOUND = /^(\d{1,9}(\.\d{1,9})?|\+Inf)$/;

export function readMatched(reply: unknown): Matched {
  const [now, known, waiting, oldestHere, oldestElsewhere, moves, failingMs, , here, elsewhere] = list(reply);
  return {
    ...(here === undefined ? {} : { firstHere: readFirst(here), firstElsewhere: readFirst(elsewhere) }),
    now: clockOf(now),
    known: known === 1,
    waiting: number(waiting),
    oldestHere: present(oldestHere),
    oldestElsewhere: present(oldestElsewhere),
    failingMs: number(failingMs),
    moves: tuples(moves, 5).flatMap(readMove),
  };
}

function readFirst(reply: unknown): FirstClient | null {
  const [urgency, value, tag, arrivedAt] = list(reply);
  const [key, at, arrival] = [lineKeyOf(`${String(urgency)}${String(value)}`), present(tag), present(arrivedAt)];
  return key === null || at === null || arrival === null ? null : { urgency: Number(key[0]), value: key.slice(1), tag: at, arrival };
}

/** If the asker's address is missing or invalid, the promise lapses. */
function readMove([from, to, address, count, heard]: readonly unknown[]): Move[] {
  const [giver, asker, reached, slots] = [nodeIdOf(from), nodeIdOf(to), addressOf(address), countOf(count)];
  if (giver === null || asker === null || reached === null || slots === null || slots === 0) return [];
  const told = heard === 0 ? { told: 'unheard' as const } : Number(heard) > 0 ? { told: 'heard' as const } : {};
  return [{ from: giver, to: { id: asker, address: reached }, count: slots, ...told }];
}

export function readHoldReply(reply: unknown): HoldReply {
  const [, , , , , , , refused, , , tags, putOut] = list(reply);
  const known = { ...readMatched(reply), refused: list(refused).map(String) };
  if (tags === undefined) return known;
  return {
    ...known,
    tags: tuples(tags, 3).flatMap(([line, tag, pace]) => {
      const key = lineKeyOf(line);
      return key === null ? [] : [{ key, tag: number(tag), pace: number(pace) }];
    }),
    putOut: tuples(putOut, 2).flatMap(([holder, id]) => {
      const node = nodeIdOf(holder);
      return node === null ? [] : [{ node, id: textOf(id, HOLD_ID_CHARS_MAX) }];
    }),
  };
}

function readNumber([id, seq]: readonly unknown[]): [id: string, seq: number][] {
  const [instance, order] = [instanceIdOf(id), timeOf(seq)];
  return instance === null || order === null ? [] : [[instance, order]];
}

export function readRouteBeat(reply: unknown): RouteBeatReply {
  const [now, known, held, missing, newest, newestNode, starting, , numbered, turnedAway, largest, heldElsewhere, revision, ready] =
    list(reply);
  return {
    now: clockOf(now),
    known: known === 1,
    revision: textOf(revision, REVISION_CHARS_MAX),
    held: number(held),
    heldElsewhere: number(heldElsewhere),
    missing: list(missing).map(String),
    numbered: tuples(numbered, 2).flatMap(readNumber),
    turnedAway: list(turnedAway).flatMap((id) => instanceIdOf(id) ?? []),
    newest: instanceIdOf(newest),
    newestNode: nodeIdOf(newestNode),
    starting: number(starting),
    // -1: nobody asked.
    ...(Number(largest) >= 0 ? { largest: number(largest) || null } : {}),
    ...(Array.isArray(ready) ? { ready: tuples(ready, 2).flatMap(homeOf) } : {}),
  };
}

export function readDeclarations(reply: unknown): StoredDeclarations {
  const [cluster, highest, values, deleted, lost, now] = list(reply);
  return {
    cluster: textOf(cluster, CLUSTER_CHARS_MAX) || null,
    highest: versionNumber(highest),
    all: [...tuples(values, 4), ...tuples(deleted, 3)].flatMap(readDeclaration),
    lost: tuples(lost, 3).flatMap(readDeclaration),
    now: clockOf(now),
  };
}

/** The pauses that are not over, and the directory's time. */
export function readPauses(reply: unknown): { readonly now: number; readonly pauses: ReadonlyMap<string, Pause> } {
  const [time, ...stored] = list(reply);
  const now = clockOf(time);
  const pauses = tuples(stored, 2).flatMap(([name, json]): [string, Pause][] => {
    const [route, pause] = [routeNameOf(name), readPause(json)];
    return route === null || pause === null || leftMsOf(pause, now) === 0 ? [] : [[route, pause]];
  });
  return { now, pauses: new Map(pauses) };
}

function readDeclaration([kind, name, version, value]: readonly unknown[]): Declaration[] {
  const [known, route] = [DECLARATION_KINDS.find((one) => one === kind), routeNameOf(name)];
  if (known === undefined || route === null) return [];
  return [{ kind: known, name: route, version: versionNumber(version), value: typeof value === 'string' ? value : null }];
}

function versionNumber(text: unknown): number {
  return countOf(text, VERSION_MAX) ?? 0;
}

export function readNodeBeat(reply: unknown, started: unknown, routesKnown: unknown): NodeBeatReply {
  const [now, known, others, jumpedMs, mayRest, ...dead] = list(reply);
  return {
    now: clockOf(now),
    known: known === 1,
    startedBefore: timeOf(started),
    routesKnown: routesKnown === 1,
    others: number(others),
    jumpedMs: number(jumpedMs),
    mayRest: mayRest === 1,
    // A name that is not a node id was removed from the list, and has nothing to clean up.
    dead: dead.flatMap((node) => nodeIdOf(node) ?? []),
  };
}

const SETTERS: readonly LimitSetter[] = ['flag', 'header', 'control', 'auto'];

/** The arguments of the script `hold`. */
export function writeHold(node: Peer, change: HoldChange, caller: string): (string | number)[] {
  const { idle, serving, add, remove, maxHeld, reset, lines = [], gathers = [] } = change;
  const args: (string | number)[] = [node.id, node.address, idle, serving ?? AS_BEFORE, maxHeld ?? NO_BOUND, reset ? 1 : 0];
  args.push(remove.length, lines.length, gathers.length, caller);
  for (const id of remove) args.push(id);
  for (const { key, units } of lines) args.push(key, units);
  for (const id of gathers) args.push(id);
  for (const { id, ageMs, ask } of add) args.push(id, ask === undefined ? ageMs : `${ageMs} ${lineKey(ask)} ${ask.unit} ${ask.cost}`);
  return args;
}

/** An instance as it is stored. */
export function writeInstance(info: InstanceInfo, node: string): string {
  const { id, seq, concurrency, most, setBy, active, state, startId, version, answered, failure, placesMax, placesAreStrict } = info;
  const places = { placesMax, placesAreStrict };
  return JSON.stringify({ id, seq, concurrency, most, setBy, active, node, state, startId, version, answered, failure, ...places });
}

/** Without what is made of it. */
type Picture = Omit<RouteSnapshot, 'waitMs'>;

/** What nodes and declarations say of a route, and not its own keys. */
type SaidOfIt = Pick<RouteSnapshot, 'settings' | 'paused' | 'overload'>;

export function readRoute(name: string, reply: unknown, said: SaidOfIt): Picture {
  const [held, oldestHeldMs, free, starting, starts, stored, trouble] = list(reply);
  const left = tuples(starts, 3).flatMap(([start, leftMs, ageMs]) => {
    const id = startIdOf(start);
    return id === null ? [] : [[id, Math.max(0, Number(leftMs)), present(ageMs)] as const];
  });
  const instances = tuples(stored, 2).flatMap(([, json]) => readInstance(json) ?? []);
  return {
    name,
    held: number(held),
    oldestHeldMs: number(oldestHeldMs),
    active: instances.reduce((sum, { active }) => sum + active, 0),
    slots: instances.reduce((sum, { state, concurrency }) => sum + (state === 'ready' ? concurrency : 0), 0),
    free: number(free),
    starting: number(starting),
    starts: startsOf(left),
    instances: instances.sort((a, b) => b.seq - a.seq),
    trouble: readTrouble(trouble),
    ...said,
  };
}

export function readTrouble(reply: unknown): StartTrouble | null {
  const [failures, reason, ageMs, retryInMs] = list(reply);
  if (failures === undefined) return null;
  return { failures: number(failures), reason: textOf(reason, REASON_CHARS_MAX), ageMs: number(ageMs), retryInMs: number(retryInMs) };
}

/** An instance as it was stored; null when its description is invalid. */
export function readInstance(json: unknown): InstanceSnapshot | null {
  const said = objectOf(json);
  if (said === null) return null;
  const [id, node, seq] = [instanceIdOf(said.id), nodeIdOf(said.node), timeOf(said.seq)];
  const [concurrency, active] = [countOf(said.concurrency, CONCURRENCY_MAX), countOf(said.active)];
  if (id === null || node === null || seq === null || concurrency === null || active === null) return null;
  const version = versionOf(said.version);
  const setBy = SETTERS.find((one) => one === said.setBy);
  return {
    id,
    seq,
    concurrency,
    ...(setBy === undefined ? {} : { setBy }),
    active,
    node,
    state: readState(said.state),
    ...(version === null ? {} : { version }),
  };
}

/** An unknown state of a later version counts as one without clients. */
function readState(state: unknown): InstanceState {
  return state === 'starting' || state === 'ready' || state === 'paused' ? state : 'draining';
}

/** `fields`: those of NODE_FIELDS, in their order. */
export function readNode(id: string, heartbeatAgeMs: number, fields: unknown): NodeSnapshot {
  const [address, version, held, active, links, draining, holds, coldStarts, failing, paused, overloaded] = list(fields);
  const routes = readFailing(failing);
  const pausedHere = listIn(paused).slice(0, PAUSED_ROUTES_MAX).flatMap(readPausedHere);
  const overloadedHere = listIn(overloaded).slice(0, OVERLOADED_MAX).flatMap(readOverloadedHere);
  return {
    id,
    heartbeatAgeMs: number(heartbeatAgeMs),
    address: addressOf(address) ?? '',
    version: versionOf(version) ?? '',
    held: number(held),
    active: number(active),
    links: number(links),
    draining: draining === '1',
    holds: readCounts(holds),
    coldStarts: readCounts(coldStarts),
    ...(routes.length === 0 ? {} : { failing: routes }),
    ...(pausedHere.length === 0 ? {} : { paused: pausedHere }),
    ...(overloadedHere.length === 0 ? {} : { overloaded: overloadedHere }),
  };
}

function readFailing(json: unknown): RouteResponses[] {
  return listIn(json)
    .slice(0, FAILING_MAX)
    .flatMap((one: unknown) => {
      if (!isObject(one)) return [];
      const [route, all, failed] = [routeNameOf(one.route), countOf(one.all), countOf(one.failed)];
      return route === null || all === null || failed === null ? [] : [{ route, all, failed }];
    });
}

/** The list in a JSON text. */
function listIn(json: unknown): unknown[] {
  return list(objectOf(typeof json === 'string' ? `{"list":${json}}` : null)?.list);
}

export const NODE_FIELDS = [
  'address',
  'version',
  'held',
  'active',
  'links',
  'draining',
  'holds',
  'coldStarts',
  'failing',
  'paused',
  'overloaded',
] as const;

/** A value that this version does not know counts as missing. */
function readCounts(json: unknown): WaitCounts {
  return readWaits(objectOf(json));
}

export function readWaits(said: unknown): WaitCounts {
  const counts = Object.entries(isObject(said) ? said : {}).slice(0, WAIT_COUNTS_MAX);
  return Object.fromEntries(
    counts.flatMap(([bound, count]) => (WAIT_BOUND.test(bound) && countOf(count) !== null ? [[bound, Number(count)]] : [])),
  );
}

/** The reply of HGETALL; the client makes an object of it. */
export function readHash(reply: unknown): Map<string, string> {
  const fields = typeof reply === 'object' && reply !== null ? Object.entries(reply) : [];
  return new Map(fields.map(([field, value]) => [field, String(value)]));
}

export function tuples(reply: unknown, size: number): unknown[][] {
  const flat = list(reply);
  const found: unknown[][] = [];
  for (let at = 0; at < flat.length; at += size) found.push(flat.slice(at, at + size));
  return found;
}

export function list(reply: unknown): unknown[] {
  return Array.isArray(reply) ? reply : [];
}

/** A reply without the directory's time is not from one of the scripts: nothing in it is used. */
function clockOf(value: unknown): number {
  const now = typeof value === 'number' ? present(value) : null;
  if (now === null) throw new DirectoryUnavailable('a reply without a time');
  return now;
}

/** Null for a value that is not a number, negative, or too large. */
export function number(value: unknown): number {
  return present(value) ?? 0;
}

export function present(value: unknown): number | null {
  const read = Number(value ?? -1);
  return Number.isFinite(read) && read >= 0 && read <= Number.MAX_SAFE_INTEGER ? read : null;
}
