/** The applications for which a limit is searched. */

export interface Phase {
  readonly seconds: number;
  /** Fixed limits to try. */
  readonly limits: readonly number[];
  /** About as many requests a second as it can serve. */
  readonly perSecond: number;
  /** As the application is told it. */
  readonly workers: number;
}

export interface Case {
  readonly name: string;
  readonly app: 'busy.mjs' | 'pool.mjs' | 'database.mjs';
  readonly workMs: number;
  /** One after the other. */
  readonly phases: readonly Phase[];
}

const POOL_LIMITS = [4, 6, 8, 10, 12, 16];
const WIDE_LIMITS = [16, 20, 24, 28, 32];

export const CASES: Readonly<Record<string, Case>> = {
  busy: {
    name: 'one thread, 5 ms of computing',
    app: 'busy.mjs',
    workMs: 5,
    phases: [{ seconds: 20, limits: [1, 2, 3, 4, 6], perSecond: 200, workers: 1 }],
  },
  pool: {
    name: 'a pool of 8, 40 ms each',
    app: 'pool.mjs',
    workMs: 40,
    phases: [{ seconds: 20, limits: POOL_LIMITS, perSecond: 200, workers: 8 }],
  },
  database: {
    name: 'a slow database: 4 ms of a Redis, 36 ms elsewhere',
    app: 'database.mjs',
    workMs: 0,
    phases: [{ seconds: 20, limits: [6, 8, 10, 12, 14, 16, 20], perSecond: 250, workers: 0 }],
  },
  knee: {
    name: 'a pool of 8, then 24, then 8',
    app: 'pool.mjs',
    workMs: 40,
    phases: [
      { seconds: 12, limits: POOL_LIMITS, perSecond: 200, workers: 8 },
      { seconds: 12, limits: WIDE_LIMITS, perSecond: 600, workers: 24 },
      { seconds: 12, limits: [], perSecond: 200, workers: 8 },
    ],
  },
};
