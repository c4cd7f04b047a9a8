/** An application with so many workers, as a queue: what a limit makes of its throughput and of the time that its answers take. */
import { type AutoBounds, AutoLimit } from '../../../src/linker/auto-limit.ts';

export interface Application {
  /** How many requests it works on at once, at a time in ms. */
  readonly workers: (now: number) => number;
  readonly serviceMs: number;
  /** Standard deviation of that, as a share. */
  readonly varies: number;
  /** Passes of each request besides, half before and half after: nobody waits for anybody there. */
  readonly elsewhereMs?: number;
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
function timeOf(meanMs: number, varies: number, random: () => number): number {
  const variance = Math.log(1 + varies * varies);
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return meanMs * Math.exp(Math.sqrt(variance) * normal - variance / 2);
}

/** On its way to the application, elsewhere, at work, elsewhere again: until `at`. */
type Stage = 'coming' | 'before' | 'work' | 'after';

interface Request {
  stage: Stage;
  at: number;
  from: number;
}

const EVERY_MS = 250;
/** From a response to the next request on the same slot. */
const TURN_MS = 0.5;

export function run(settings: Run): Outcome {
  const { seconds, seed, limit: fixed, workers, serviceMs, varies, elsewhereMs = 0 } = settings;
  const { demand = Number.POSITIVE_INFINITY, bounds = { least: 1, most: 200, first: 10 } } = settings;
  const random = randomOf(seed);
  const auto = fixed === null ? new AutoLimit(bounds, 0) : null;
  const limit = (): number => fixed ?? auto?.limit ?? 0;
  const underWay: Request[] = [];
  const waiting: Request[] = [];
  const answers: { readonly at: number; readonly tookMs: number }[] = [];
  const limits: number[] = [];
  let now = 0;
  let working = 0;
  let coming = 0;
  const goOn = (request: Request, stage: Stage, ms: number): void => {
    request.stage = stage;
    request.at = now + ms;
    underWay.push(request);
  };
  const work = (): void => {
    for (let next = waiting[0]; next !== undefined && working < workers(now); next = waiting[0]) {
      waiting.shift();
      working++;
      goOn(next, 'work', timeOf(serviceMs, varies, random));
    }
  };
  const come = (): void => {
    coming++;
    goOn({ stage: 'coming', at: 0, from: 0 }, 'coming', TURN_MS * (0.5 + random()));
  };
  const fill = (): void => {
    while (underWay.length + waiting.length < Math.min(limit(), demand)) come();
  };
  const answer = ({ from }: Request): void => {
    answers.push({ at: now, tookMs: now - from });
    const has = 1 + waiting.length + underWay.length - coming;
    auto?.answered(now, now - from, Math.max(0, limit() - has));
  };
  const elsewhere = (): number => (elsewhereMs === 0 ? 0 : timeOf(elsewhereMs / 2, varies, random));
  for (fill(); now < seconds * 1_000; fill()) {
    let first = 0;
    for (let i = 1; i < underWay.length; i++) if ((underWay[i] as Request).at < (underWay[first] as Request).at) first = i;
    const [request] = underWay.splice(first, 1);
    if (request === undefined) throw new Error('nobody is served');
    now = request.at;
    if (request.stage === 'coming') {
      coming--;
      request.from = now;
      goOn(request, 'before', elsewhere());
    } else if (request.stage === 'before') {
      waiting.push(request);
    } else if (request.stage === 'work') {
      working--;
      goOn(request, 'after', elsewhere());
    } else {
      answer(request);
    }
    work();
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
