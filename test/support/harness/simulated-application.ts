/** An application with so many workers, as a queue: what a limit makes of its throughput and of the time that its answers take. */
import { type AutoBounds, AutoLimit } from '../../../src/linker/auto-limit.ts';

export interface Application {
  /** How many requests it works on at once, at a time in ms. */
  readonly workers: (now: number) => number;
  readonly serviceMs: number;
  /** Standard deviation of that, as a share. */
  readonly varies: number;
}

export interface Run extends Application {
  readonly seconds: number;
  readonly seed: number;
  /** Null: it is searched for. */
  readonly limit: number | null;
  readonly bounds?: AutoBounds;
  /** Requests that want to be served at once. */
  readonly demand?: number;
}

export interface Outcome {
  /** Answers per second, from `fromMs` to `toMs`. */
  goodput(fromMs: number, toMs?: number): number;
  /** Mean time of an answer inside the application. */
  meanMs(fromMs: number, toMs?: number): number;
  /** The limit, each 250 ms. */
  readonly limits: readonly number[];
}

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Log-normal. */
function serviceOf({ serviceMs, varies }: Application, random: () => number): number {
  const variance = Math.log(1 + varies * varies);
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.exp(Math.log(serviceMs) - variance / 2 + Math.sqrt(variance) * normal);
}

interface Request {
  readonly from: number;
  readonly full: boolean;
}

const EVERY_MS = 250;

export function run(settings: Run): Outcome {
  const { seconds, seed, limit: fixed, demand = Number.POSITIVE_INFINITY, bounds = { least: 1, most: 200, first: 10 } } = settings;
  const random = randomOf(seed);
  const auto = fixed === null ? new AutoLimit(bounds, 0) : null;
  const limit = (): number => fixed ?? auto?.limit ?? 0;
  /** In service, by when they end. */
  const busy: { readonly at: number; readonly request: Request }[] = [];
  const waiting: Request[] = [];
  const answers: { readonly at: number; readonly tookMs: number }[] = [];
  const limits: number[] = [];
  let now = 0;
  const fill = (): void => {
    while (busy.length + waiting.length < Math.min(limit(), demand)) {
      waiting.push({ from: now, full: busy.length + waiting.length + 1 >= limit() });
    }
    for (let next = waiting[0]; next !== undefined && busy.length < settings.workers(now); next = waiting[0]) {
      waiting.shift();
      busy.push({ at: now + serviceOf(settings, random), request: next });
    }
  };
  for (fill(); now < seconds * 1_000; fill()) {
    const first = busy.reduce((least, { at }, i) => (at < (busy[least]?.at ?? at) ? i : least), 0);
    const [over] = busy.splice(first, 1);
    if (over === undefined) throw new Error('nobody is served');
    now = over.at;
    const tookMs = now - over.request.from;
    answers.push({ at: now, tookMs });
    auto?.answered(now, tookMs, over.request.full);
    while (limits.length * EVERY_MS <= now) limits.push(limit());
  }
  const between = (fromMs: number, toMs = seconds * 1_000): typeof answers => answers.filter(({ at }) => at >= fromMs && at < toMs);
  return {
    goodput: (fromMs, toMs = seconds * 1_000) => (between(fromMs, toMs).length * 1_000) / (toMs - fromMs),
    meanMs: (fromMs, toMs) => {
      const counted = between(fromMs, toMs);
      return counted.reduce((sum, { tookMs }) => sum + tookMs, 0) / counted.length;
    },
    limits,
  };
}
