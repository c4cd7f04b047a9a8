/** Reads what the scripts return: flat lists of numbers and strings, -1 for what is not there. */
import type { InstanceInfo, InstanceSnapshot, NodeSnapshot, RouteSnapshot, WaitCounts } from '../cluster.ts';
import type { HoldAnswer, Matched, Move, NodeBeatAnswer, RouteBeatAnswer, RouteRecord } from '../directory.ts';
import type { StartPlan, StartTimes, StartTrouble } from '../starts.ts';
import { startsOf } from '../starts-shown.ts';

export function readMatched(answer: unknown): Matched {
  const [now, known, waiting, oldestHere, oldestElsewhere, moves, failingMs] = list(answer);
  return {
    now: Number(now),
    known: known === 1,
    waiting: Number(waiting),
    oldestHere: present(oldestHere),
    oldestElsewhere: present(oldestElsewhere),
    failingMs: Number(failingMs),
    moves: tuples(moves, 4).map(([from, to, address, count]): Move => {
      return { from: String(from), to: { id: String(to), address: String(address) }, count: Number(count) };
    }),
  };
}

export function readHoldAnswer(answer: unknown): HoldAnswer {
  return { ...readMatched(answer), refused: list(list(answer)[7]).map(String) };
}

export function readRouteBeat(answer: unknown): RouteBeatAnswer {
  const [now, known, held, missing, newest, newestNode, starting] = list(answer);
  return {
    now: Number(now),
    known: known === 1,
    held: Number(held),
    missing: list(missing).map(String),
    newest: newest === '' ? null : String(newest),
    newestNode: newestNode === '' ? null : String(newestNode),
    starting: Number(starting),
  };
}

export function readPlan(answer: unknown): StartPlan {
  const parts = list(answer);
  const number = (at: number): number => Number(parts[at] ?? 0);
  return {
    held: number(0),
    promised: number(1),
    slots: number(2),
    free: number(3),
    ready: number(4),
    starting: number(5),
    concurrency: present(parts[6]),
    begun: number(7),
    lastBegunMs: present(parts[8]),
    begunInMinute: number(9),
    oldestBegunMs: present(parts[10]),
    wanted: number(11),
    old: number(12),
    serving: number(13),
    trouble: readTrouble(parts[14]),
  };
}

function readTrouble(answer: unknown): StartTrouble | null {
  const [failures, reason, ageMs, retryInMs] = list(answer);
  if (failures === undefined) return null;
  return { failures: Number(failures), reason: String(reason), ageMs: Number(ageMs), retryInMs: Number(retryInMs) };
}

export function readStartTimes(answer: unknown): StartTimes | null {
  const [jobAgeMs, commandAgeMs] = list(answer);
  return jobAgeMs === undefined ? null : { jobAgeMs: Number(jobAgeMs), commandAgeMs: Number(commandAgeMs) };
}

export function readNodeBeat(answer: unknown, started: unknown, routesKnown: unknown): NodeBeatAnswer {
  const [now, known, others, ...dead] = list(answer);
  return {
    now: Number(now),
    known: known === 1,
    startedBefore: started === null ? null : Number(started),
    routesKnown: routesKnown === 1,
    others: Number(others),
    dead: dead.map(String),
  };
}

/** An instance as it is stored. */
export function writeInstance(info: InstanceInfo, node: string): string {
  const { id, seq, concurrency, active, state, startId, version, answered, failure } = info;
  return JSON.stringify({ id, seq, concurrency, active, node, state, startId, version, answered, failure });
}

export function readRoute(name: string, answer: unknown, settings: RouteRecord | null): RouteSnapshot {
  const [held, oldestHeldMs, free, starting, starts, stored, trouble] = list(answer);
  const left = tuples(starts, 2).map(([id, leftMs]) => [String(id), Number(leftMs)] as const);
  const instances = tuples(stored, 2).map(([, json]) => readInstance(String(json)));
  return {
    name,
    held: Number(held),
    oldestHeldMs: Math.max(0, Number(oldestHeldMs)),
    active: instances.reduce((sum, { active }) => sum + active, 0),
    slots: instances.reduce((sum, { state, concurrency }) => sum + (state === 'ready' ? concurrency : 0), 0),
    free: Number(free),
    starting: Number(starting),
    starts: startsOf(left, settings),
    instances: instances.sort((a, b) => b.seq - a.seq),
    settings,
    trouble: readTrouble(trouble),
  };
}

function readInstance(json: string): InstanceSnapshot {
  const { id, seq, concurrency, active, node, state, version } = JSON.parse(json) as InstanceSnapshot;
  return { id, seq, concurrency, active, node, state, ...(version === undefined ? {} : { version }) };
}

export function readNode(id: string, heartbeatAgeMs: number, fields: unknown): NodeSnapshot {
  const node = readHash(fields);
  return {
    id,
    heartbeatAgeMs,
    address: node.get('address') ?? '',
    version: node.get('version') ?? '',
    held: Number(node.get('held') ?? 0),
    active: Number(node.get('active') ?? 0),
    links: Number(node.get('links') ?? 0),
    draining: node.get('draining') === '1',
    holds: readCounts(node.get('holds')),
    coldStarts: readCounts(node.get('coldStarts')),
  };
}

/** What another version, or nobody, has written counts as nothing. */
function readCounts(json = '{}'): WaitCounts {
  try {
    const counts: unknown = JSON.parse(json);
    const entries = Object.entries(counts ?? {}).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
    return Object.fromEntries(entries);
  } catch {
    return {};
  }
}

/** What HGETALL answers; the client makes an object of it. */
export function readHash(answer: unknown): Map<string, string> {
  const fields = typeof answer === 'object' && answer !== null ? Object.entries(answer) : [];
  return new Map(fields.map(([field, value]) => [field, String(value)]));
}

export function tuples(answer: unknown, size: number): unknown[][] {
  const flat = list(answer);
  const found: unknown[][] = [];
  for (let at = 0; at < flat.length; at += size) found.push(flat.slice(at, at + size));
  return found;
}

export function list(answer: unknown): unknown[] {
  return Array.isArray(answer) ? answer : [];
}

function present(value: unknown): number | null {
  const number = Number(value);
  return number < 0 ? null : number;
}
