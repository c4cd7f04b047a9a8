/** What schedules look like: a cluster that lives for twenty seconds, or a few processes to which much happens within a moment. */
import type { Random } from '../../e2e/chaos/random.ts';
import { EVENLY, type Pace } from '../world/clients.ts';
import type { RouteSpec } from '../world/routes.ts';

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** How acts follow each other. Times are from the begin of a schedule, in ms. */
export interface ActTimes {
  readonly from: number;
  readonly until: number;
  readonly gap: Range;
  readonly lasts: Range;
}

export interface WorldSizes {
  readonly nodes: number;
  readonly clients: number;
  readonly concurrency: number;
  readonly routes: readonly RouteSpec[];
  /** Clients begin then; 1 s without it. */
  readonly clientsFromMs?: number;
  /** Of instances. Those that are not the newest leave sooner. */
  readonly idleTimeoutMs?: number;
}

export interface Shape {
  readonly sizes: (random: Random) => WorldSizes;
  readonly acts: ActTimes;
  readonly pace: Pace;
  /** Clients ask until then. Nothing is done in the last seconds, so everything has to come right. */
  readonly endsMs: number;
}

const KEYS = ['red', 'green', 'blue'];

function routesOf(random: Random, plainMost: number, otherMost: number): RouteSpec[] {
  const plain = { name: 'plain.test', maxInstances: 1 + Math.floor(random.next() * plainMost), fair: false };
  const fair = { name: 'fair.test', maxInstances: 1 + Math.floor(random.next() * otherMost), fair: true };
  const keys = KEYS.slice(0, 1 + Math.floor(random.next() * KEYS.length));
  const keyed = { name: 'keyed.test', maxInstances: fair.maxInstances, fair: false, keys };
  const [one, other] = [random.next(), random.next()];
  if (one < 0.4) return [plain];
  return other < 0.5 ? [plain, fair] : [plain, keyed];
}

const WHOLE: Shape = {
  sizes: (random) => ({
    nodes: 1 + Math.floor(random.next() * 3),
    clients: 4 + Math.floor(random.next() * 14),
    concurrency: 1 + Math.floor(random.next() * 3),
    routes: routesOf(random, 2.5, 2),
  }),
  acts: { from: 2_500, until: 8_000, gap: { least: 50, most: 2_500 }, lasts: { least: 50, most: 4_500 } },
  pace: EVENLY,
  endsMs: 20_000,
};

/** A crowd while acts follow each other closely, few requests until nothing disturbs any more, and one more crowd that finds out what was left behind. */
const SMALL: Shape = {
  sizes: (random) => {
    const routes = routesOf(random, 2, 1.4);
    return {
      nodes: 2 + Math.floor(random.next() * 2),
      clients: 3 + Math.floor(random.next() * 3),
      concurrency: 1 + Math.floor(random.next() * 2),
      routes: random.next() < 0.7 ? [routes[routes.length - 1] as RouteSpec] : routes,
      clientsFromMs: 50,
      idleTimeoutMs: random.next() < 0.5 ? random.between(200, 2_000) : 20_000,
    };
  },
  acts: { from: 300, until: 2_000, gap: { least: 5, most: 450 }, lasts: { least: 20, most: 1_300 } },
  pace: { waveMs: 8_400, topShare: 0.26, thinkMsMax: { top: 250, bottom: 7_000 }, serviceMsMax: 40 },
  endsMs: 9_300,
};

export const SHAPES = { whole: WHOLE, small: SMALL } as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof SHAPES;

export function isShapeName(name: string): name is ShapeName {
  return Object.hasOwn(SHAPES, name);
}
