/** The memory of each process over time, and whether it grows. */
import { rss } from '../../bench/children.ts';
import { leastSquares } from '../../bench/slope.ts';
import type { Watched } from './place.ts';

/** Left out: code is compiled, pools fill, the heap finds its size. */
const WARM_UP_SHARE = 1 / 3;
/** A slope beyond so many standard errors is no accident. */
const ERRORS = 3;
/** Less than this over the whole time is not worth a word: resident memory is in pages and in what the allocator keeps. */
const MATTERS_BYTES = 24 * 1_048_576;
const SAMPLES_MIN = 20;
/** Within less, code is still being compiled, and pools are being filled. */
const HOURS_MIN = 1 / 6;

/** `short`: it did not take long enough to say. */
export type MemoryVerdict = 'flat' | 'grows' | 'short';

export interface MemoryFigures {
  readonly process: string;
  readonly firstMb: number;
  readonly lastMb: number;
  readonly mostMb: number;
  readonly mbPerHour: number;
  readonly errorMbPerHour: number;
  readonly verdict: MemoryVerdict;
}

export class MemoryWatch {
  readonly #watched: readonly Watched[];
  readonly #samples = new Map<string, (readonly [hours: number, bytes: number])[]>();
  readonly #timer: NodeJS.Timeout;
  readonly #began = performance.now();

  constructor(watched: readonly Watched[], everyMs: number) {
    this.#watched = watched;
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  stop(): MemoryFigures[] {
    clearInterval(this.#timer);
    return [...this.#samples].map(([name, samples]) => figuresOf(name, samples));
  }

  #sample(): void {
    const hours = (performance.now() - this.#began) / 3_600_000;
    for (const { name, pid } of this.#watched) {
      const samples = this.#samples.get(name) ?? [];
      this.#samples.set(name, samples);
      try {
        samples.push([hours, rss(pid)]);
      } catch {
        // It has ended, which is said elsewhere.
      }
    }
  }
}

function figuresOf(process: string, all: readonly (readonly [number, number])[]): MemoryFigures {
  const mb = (bytes: number): number => Math.round((bytes / 1_048_576) * 10) / 10;
  const counted = all.slice(Math.ceil(all.length * WARM_UP_SHARE));
  const { slope, error } = leastSquares(counted);
  const hours = (counted.at(-1)?.[0] ?? 0) - (counted[0]?.[0] ?? 0);
  const grows = slope > ERRORS * error && slope * hours > MATTERS_BYTES;
  return {
    process,
    firstMb: mb(counted[0]?.[1] ?? 0),
    lastMb: mb(counted.at(-1)?.[1] ?? 0),
    mostMb: mb(Math.max(0, ...all.map(([, bytes]) => bytes))),
    mbPerHour: mb(slope),
    errorMbPerHour: mb(error),
    verdict: counted.length < SAMPLES_MIN || hours < HOURS_MIN ? 'short' : grows ? 'grows' : 'flat',
  };
}
