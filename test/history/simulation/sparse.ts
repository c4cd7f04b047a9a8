/**
 * Sparse traffic over many nodes, in simulated time: few slots a route, requests spread evenly over nodes and routes, so that most find no slot at their node.
 * What each costs the directory, and how long clients wait beside an idle slot. The same seed gives the same figures.
 */
import type { Checker } from '../checker/checker.ts';
import type { HistoryEvent } from '../events.ts';
import { Connection } from '../world/connection.ts';
import { Owner } from './clock.ts';
import type { Code } from './code.ts';
import { CLIENT_PORT, SimulatedWorld } from './world.ts';

export interface SparseSizes {
  readonly nodes: number;
  readonly linkers: number;
  readonly routes: number;
  /** Of each linker. */
  readonly slots: number;
  readonly requestsPerSecond: number;
  readonly serviceMs: number;
}

export const SPARSE: SparseSizes = { nodes: 12, linkers: 100, routes: 50, slots: 3, requestsPerSecond: 516, serviceMs: 85 };

export interface SparseFigures {
  readonly requests: number;
  /** Those that found no slot at their node. */
  readonly held: number;
  /** Calls of the directory and messages over it, for each request. */
  readonly callsPerRequest: number;
  readonly most: Readonly<Record<string, number>>;
  /** Ms, of all requests that came while a slot of their route was idle anywhere. */
  readonly waitedBesideIdle: { readonly requests: number; readonly p50: number; readonly p99: number; readonly most: number };
  readonly callsPerSecondAtRest: number;
}

const BEGINS_MS = 1_500;
/** Links, first slots, and what is learned in the first requests. */
const COUNTS_FROM_MS = 6_000;
const COUNTS_MS = 6_000;
/** From the end of traffic until instances have proved themselves, and nodes have left routes at which they have nothing. */
const SETTLES_MS = 15_000;
const RESTS_MS = 30_000;
const LASTING_MS = 600_000;

interface Request {
  readonly route: string;
  /** When it was held; null: it was not. */
  heldAt: number | null;
  readonly isBesideIdle: boolean;
  waitedMs: number | null;
}

/** @throws Error when a response is none of the application's. */
export async function measureSparse(code: Code, seed: number, sizes = SPARSE): Promise<SparseFigures> {
  const { clock } = code;
  const names = Array.from({ length: sizes.routes }, (_, i) => `app${i}.test`);
  const requests = new Map<string, Request>();
  /** Route → requests that are served or wait. */
  const there = new Map<string, number>();
  const hear = (event: HistoryEvent): void => {
    const request = 'id' in event ? requests.get(event.id) : undefined;
    if (request === undefined) return;
    if (event.e === 'held') request.heldAt = clock.now;
    else if (event.e === 'opened') request.waitedMs ??= request.heldAt === null ? 0 : clock.now - request.heldAt;
    else if (event.e === 'over') there.set(request.route, (there.get(request.route) ?? 0) - 1);
  };
  const watcher = { take: ({ event }: { event: HistoryEvent }) => hear(event) } as unknown as Checker;
  const routes = names.map((name) => ({ name, maxInstances: Math.ceil(sizes.linkers / sizes.routes), fair: false }));
  const cluster = { nodes: sizes.nodes, clients: 0, concurrency: sizes.slots, routes, idleTimeoutMs: LASTING_MS };
  const world = new SimulatedWorld(code, cluster, seed, watcher);
  world.start();
  for (let i = 0; i < sizes.linkers; i++) {
    clock.in(500 + i, () => world.addInstance(`lasting${i}`, names[i % names.length] as string), new Owner('operator'));
  }
  const slotsOf = (route: number): number =>
    sizes.slots * (Math.floor(sizes.linkers / sizes.routes) + (route < sizes.linkers % sizes.routes ? 1 : 0));

  const odd: string[] = [];
  const idle = new Map<number, Connection[]>();
  let n = 0;
  const ask = async (): Promise<void> => {
    const [node, route] = [Math.floor(world.random.next() * sizes.nodes), Math.floor(world.random.next() * sizes.routes)];
    const name = names[route] as string;
    const id = `r${n++}`;
    const busy = there.get(name) ?? 0;
    requests.set(id, { route: name, heldAt: null, isBesideIdle: busy < slotsOf(route), waitedMs: null });
    there.set(name, busy + 1);
    const kept = idle.get(node) ?? [];
    idle.set(node, kept);
    const connection = kept.pop() ?? new Connection(CLIENT_PORT + node);
    const ms = Math.round(sizes.serviceMs * (0.5 + world.random.next()));
    const { status, why } = await connection.ask(`GET /?ms=${ms} HTTP/1.1\r\nhost: ${name}\r\nx-request-id: ${id}\r\n\r\n`);
    if (status === 200) kept.push(connection);
    else if (clock.now < endsAt) odd.push(`${id}: ${status} ${why ?? ''}`);
  };
  const owner = new Owner('load');
  const endsAt = COUNTS_FROM_MS + COUNTS_MS;
  const next = (): void => {
    if (clock.now >= began + endsAt) return;
    void ask();
    clock.in((-Math.log(1 - world.random.next()) * 1_000) / sizes.requestsPerSecond, next, owner);
  };
  const began = clock.now;
  clock.in(BEGINS_MS, next, owner);
  await clock.run(began + COUNTS_FROM_MS);
  const [before, from] = [world.directoryCalls(), n];
  await clock.run(began + endsAt);
  const [after, to] = [world.directoryCalls(), n];
  await clock.run(began + endsAt + SETTLES_MS);
  const restsFrom = sum(world.directoryCalls());
  await clock.run(began + endsAt + SETTLES_MS + RESTS_MS);
  const rest = sum(world.directoryCalls()) - restsFrom;
  world.stop();
  if (odd.length > 0) throw new Error(odd.slice(0, 5).join(', '));

  const counted = [...requests.values()].slice(from, to);
  const waits = counted.flatMap(({ isBesideIdle, waitedMs }) => (isBesideIdle ? [waitedMs ?? Number.POSITIVE_INFINITY] : []));
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN);
  const kinds = [...after].map(([kind, calls]): [string, number] => [kind, round((calls - (before.get(kind) ?? 0)) / (to - from))]);
  return {
    requests: to - from,
    held: counted.filter(({ heldAt }) => heldAt !== null).length,
    callsPerRequest: round((sum(after) - sum(before)) / (to - from)),
    most: Object.fromEntries(kinds.filter(([, calls]) => calls > 0).sort((a, b) => b[1] - a[1])),
    waitedBesideIdle: { requests: waits.length, p50: at(0.5), p99: at(0.99), most: at(1) },
    callsPerSecondAtRest: round((1_000 * rest) / RESTS_MS),
  };
}

function sum(calls: ReadonlyMap<string, number>): number {
  return [...calls.values()].reduce((all, one) => all + one, 0);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
