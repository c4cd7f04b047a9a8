/** Reads what the scripts return: flat lists of numbers and strings, -1 for what is not there. */
import type { InstanceInfo, InstanceSnapshot, NodeSnapshot, RouteSnapshot, WaitCounts } from '../cluster.ts';
import type { HoldAnswer, Matched, Move, NodeBeatAnswer, RouteBeatAnswer, RouteRecord, StartPlan } from '../directory.ts';
import { startsOf } from '../starts-shown.ts';

export function readMatched(answer: unknown): Matched {
  const [now, known, waiting, oldestHere, oldestElsewhere, moves] = list(answer);
  return {
    now: Number(now),
    known: known === 1,
    waiting: Number(waiting),
    oldestHere: present(oldestHere),
    oldestElsewhere: present(oldestElsewhere),
    moves: tuples(moves, 4).map(([from, to, address, count]): Move => {
      return { from: String(from), to: { id: String(to), address: String(address) }, count: Number(count) };
    }),
  };
}

export function readHoldAnswer(answer: unknown): HoldAnswer {
  return { ...readMatched(answer), refused: list(list(answer)[6]).map(String) };
}

export function readRouteBeat(answer: unknown): RouteBeatAnswer {
  const [now, known, held, missing, newest] = list(answer);
  return {
    now: Number(now),
    known: known === 1,
    held: Number(held),
    missing: list(missing).map(String),
    newest: newest === '' ? null : String(newest),
  };
}

export function readPlan(answer: unknown): StartPlan {
  const [held, promised, slots, free, ready, starting, concurrency] = list(answer).map(Number);
  return {
    held: held ?? 0,
    promised: promised ?? 0,
    slots: slots ?? 0,
    free: free ?? 0,
    ready: ready ?? 0,
    starting: starting ?? 0,
    concurrency: present(concurrency),
  };
}

export function readNodeBeat(answer: unknown, routesKnown: boolean): NodeBeatAnswer {
  const [now, known, others, ...dead] = list(answer);
  return { now: Number(now), known: known === 1, routesKnown, others: Number(others), dead: dead.map(String) };
}

/** An instance as it is stored. */
export function writeInstance(info: InstanceInfo, node: string): string {
  const { id, seq, concurrency, active, state, startId } = info;
  return JSON.stringify({ id, seq, concurrency, active, node, state, startId });
}

export function readRoute(name: string, answer: unknown, settings: RouteRecord | null): RouteSnapshot {
  const [held, oldestHeldMs, free, starting, starts, stored] = list(answer);
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
  };
}

function readInstance(json: string): InstanceSnapshot {
  const { id, seq, concurrency, active, node, state } = JSON.parse(json) as InstanceSnapshot;
  return { id, seq, concurrency, active, node, state };
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
