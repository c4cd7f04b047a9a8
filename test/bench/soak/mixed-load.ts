/** A steady mixture of visits, which can rest. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../e2e/chaos/random.ts';
import type { Visits } from './visits.ts';

/** How often each kind comes, of the sum of all. */
const WEIGHTS = {
  keptConnection: 600,
  movedSlot: 100,
  ownConnection: 80,
  unknownHost: 80,
  smallBody: 60,
  leaves: 40,
  tcp: 30,
  webSocket: 20,
  heldAndLeaves: 20,
  http2: 10,
  heldInVain: 10,
  largeAnswer: 4,
  largeBody: 4,
} as const satisfies Partial<Record<keyof Visits, number>>;

const TICK_MS = 10;
/** Held clients are the last that go. */
const REST_MS_MAX = 30_000;
/** So many at once are a sign that nothing is answered any more. */
const UNDER_WAY_MAX = 5_000;

export class MixedLoad {
  readonly #visits: Visits;
  readonly #random: Random;
  readonly #perSecond: number;
  readonly #underWay = new Set<Promise<void>>();
  #running = true;
  /** Requests, and connections of TCP, that came to the end that they should. */
  requests = 0;
  readonly #failures = new Map<string, number>();

  constructor(visits: Visits, random: Random, perSecond: number) {
    this.#visits = visits;
    this.#random = random;
    this.#perSecond = perSecond;
  }

  /** By kind of visit and what went wrong, how often. */
  get failures(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#failures);
  }

  /** Visits come for so long, unless it is stopped; then it rests: none is under way and no client is connected. */
  async run(ms: number): Promise<void> {
    const began = performance.now();
    let begun = 0;
    for (let now = began; this.#running && now - began < ms; now = performance.now()) {
      for (const due = ((now - began) * this.#perSecond) / 1_000; begun < due && this.#underWay.size < UNDER_WAY_MAX; begun++) {
        this.#begin(this.#random.weighted(WEIGHTS));
      }
      await pause(TICK_MS);
    }
    const deadline = new AbortController();
    await Promise.race([Promise.all(this.#underWay), pause(REST_MS_MAX, null, { signal: deadline.signal })]);
    deadline.abort();
    this.#visits.rest();
  }

  stop(): void {
    this.#running = false;
  }

  #begin(kind: keyof typeof WEIGHTS): void {
    const visit = this.#visits[kind]().then(
      (requests) => {
        this.requests += requests;
      },
      (error: NodeJS.ErrnoException) => {
        const what = `${kind}: ${error.code ?? error.message}`;
        this.#failures.set(what, (this.#failures.get(what) ?? 0) + 1);
      },
    );
    this.#underWay.add(visit);
    void visit.finally(() => this.#underWay.delete(visit));
  }
}
