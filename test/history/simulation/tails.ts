/**
 * How long clients wait where a route has an order: three nodes, one instance of four slots, requests of 20 ms, in simulated time. So a busy machine
 * changes no figure, and the same seed gives the same ones. Each way between two processes takes 0.05 to 1.5 ms.
 */
import type { Checker } from '../checker/checker.ts';
import type { HistoryEvent } from '../events.ts';
import { Connection } from '../world/connection.ts';
import { Owner } from './clock.ts';
import type { Code } from './code.ts';
import { CLIENT_PORT, SimulatedWorld } from './world.ts';

const ROUTE = { name: 'fair.test', maxInstances: 1, fair: true };
const SIZES = { nodes: 3, clients: 0, concurrency: 4, routes: [ROUTE] };
const SERVICE_MS = 20;
const BEGINS_MS = 1_500;
/** Before that the instance starts and the line grows. */
const COUNTS_FROM_MS = 4_000;
const ENDS_MS = 30_000;
const RAISES = 200;
const RAISE_EVERY_MS = 50;
const BLIND = { take: () => {} } as unknown as Checker;

/** Clients of one kind: each asks again as soon as it has its response. */
export interface Crowd {
  readonly name: string;
  readonly header: string;
  readonly clients: number;
  /** The node of each. */
  readonly at: (client: number) => number;
}

export interface Tail {
  readonly responses: number;
  /** From the request to the response, in ms. */
  readonly p50: number;
  readonly p99: number;
}

const spread = (client: number): number => client % SIZES.nodes;

export const SCENES: Readonly<Record<string, readonly Crowd[]>> = {
  'a quiet tenant beside a loud one': [
    { name: 'loud', header: 'x-tenant: loud', clients: 120, at: spread },
    { name: 'quiet', header: 'x-tenant: quiet', clients: 1, at: () => 2 },
  ],
  'an urgent class beside a patient one': [
    { name: 'patient', header: 'x-urgency: 5', clients: 120, at: spread },
    { name: 'urgent', header: 'x-urgency: 0', clients: 3, at: spread },
  ],
  'three equal tenants, unevenly spread': [
    { name: 'a', header: 'x-tenant: a', clients: 40, at: () => 0 },
    { name: 'b', header: 'x-tenant: b', clients: 40, at: (client) => client % 2 },
    { name: 'c', header: 'x-tenant: c', clients: 40, at: (client) => (client % 8 === 0 ? 1 : 2) },
  ],
};

/** By the names of the crowds. @throws Error when a response is none of the application's. */
export async function measureTails(code: Code, seed: number, crowds: readonly Crowd[]): Promise<Record<string, Tail>> {
  const { clock } = code;
  const world = new SimulatedWorld(code, SIZES, seed, BLIND);
  world.start();
  const owner = new Owner('load');
  const took = new Map<string, number[]>(crowds.map(({ name }) => [name, []]));
  const odd: string[] = [];
  const ask = async ({ name, header, at }: Crowd, client: number): Promise<void> => {
    const connection = new Connection(CLIENT_PORT + at(client));
    const request = `GET /?ms=${SERVICE_MS} HTTP/1.1\r\nhost: ${ROUTE.name}\r\nx-request-id: ${name}${client}\r\n${header}\r\n\r\n`;
    while (clock.now < ENDS_MS) {
      const began = clock.now;
      const { status, why } = await connection.ask(request);
      if (clock.now >= ENDS_MS) return;
      if (status !== 200) {
        odd.push(`${name}: ${status} ${why ?? ''}`);
        return;
      }
      if (began >= COUNTS_FROM_MS) took.get(name)?.push(clock.now - began);
    }
  };
  for (const crowd of crowds) {
    for (let client = 0; client < crowd.clients; client++) clock.in(BEGINS_MS + client, () => void ask(crowd, client), owner);
  }
  await clock.run(ENDS_MS);
  world.stop();
  if (odd.length > 0) throw new Error(odd.slice(0, 5).join(', '));
  return Object.fromEntries([...took].map(([name, times]) => [name, tailOf(times)]));
}

/** Each raise of a limit by one while clients are held at three nodes: how long until the application has one request more. */
export async function measureRaises(code: Code, seed: number): Promise<{ readonly raises: number; readonly used: Tail }> {
  const { clock } = code;
  const begun: number[] = [];
  const watcher = {
    take: ({ event }: { event: HistoryEvent }) => void (event.e === 'begin' && begun.push(clock.now)),
  } as unknown as Checker;
  const sizes = { ...SIZES, concurrency: 1, routes: [{ ...ROUTE, fair: false }] };
  const world = new SimulatedWorld(code, sizes, seed, watcher);
  world.start();
  const owner = new Owner('load');
  // Nobody is done before the end, so each begin belongs to a raise.
  for (let client = 0; client < RAISES + 10; client++) {
    const request = `GET /?ms=${10 * ENDS_MS} HTTP/1.1\r\nhost: ${ROUTE.name}\r\nx-request-id: ${client}\r\n\r\n`;
    clock.in(BEGINS_MS + client, () => void new Connection(CLIENT_PORT + spread(client)).ask(request), owner);
  }
  const raised: number[] = [];
  for (let i = 0; i < RAISES; i++) {
    clock.in(COUNTS_FROM_MS + i * RAISE_EVERY_MS, () => {
      const [one] = world.living;
      if (one === undefined) throw new Error('no instance is there');
      raised.push(clock.now);
      world.moveLimit(one, i + 2);
    });
  }
  await clock.run(COUNTS_FROM_MS + RAISES * RAISE_EVERY_MS + 1_000);
  world.stop();
  // The first request began before all raises.
  const used = raised.flatMap((at, i) => (begun[i + 1] === undefined ? [] : [(begun[i + 1] as number) - at]));
  return { raises: raised.length, used: tailOf(used) };
}

function tailOf(times: readonly number[]): Tail {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(10 * (sorted[Math.floor(sorted.length * share)] ?? Number.NaN)) / 10;
  return { responses: times.length, p50: at(0.5), p99: at(0.99) };
}
