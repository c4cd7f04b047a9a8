/** The waits of routes in Redis: the script `waits`. */
import type { Pace, RouteSupply } from '../wait-estimate.ts';
import { type Measured, NOTHING_MEASURED, type WaitLog } from '../waits.ts';
import { list, number, present } from './replies.ts';

type Call = (route: string, place: string, command: 'set' | 'del', args: readonly (string | number)[]) => Promise<unknown>;
type Run = (route: string, args: readonly (string | number)[]) => Promise<unknown>;

export class RedisWaitLog implements WaitLog {
  readonly #run: Run;
  readonly #call: Call;

  /** `run`: runs the script for a route. `call`: sends a command for a place. */
  constructor(run: Run, call: Call) {
    this.#run = run;
    this.#call = call;
  }

  async exchange(route: string, measured: Measured): Promise<RouteSupply> {
    const [held, oldestHeldMs, slots, free, pace, ages] = list(await this.#run(route, [measured.requests, Math.round(measured.ms), '', 0]));
    return {
      held: number(held),
      oldestHeldMs: number(oldestHeldMs),
      slots: number(slots),
      free: number(free),
      ...readPace(pace),
      startAgesMs: list(ages).map(number),
    };
  }

  async started(route: string, startId: string, ms: number): Promise<void> {
    await this.#run(route, [NOTHING_MEASURED.requests, NOTHING_MEASURED.ms, startId, Math.round(ms)]);
  }

  async claim(route: string, place: string, forMs: number): Promise<boolean> {
    return (await this.#call(route, place, 'set', ['', 'PX', forMs, 'NX'])) !== null;
  }

  async unclaim(route: string, place: string): Promise<void> {
    await this.#call(route, place, 'del', []);
  }
}

/** As the script `_waits` says it. */
export function readPace(answer: unknown): Pace {
  const [slotMs, startMs, slotsPerStart] = list(answer).map(present);
  return { slotMs: slotMs ?? null, startMs: startMs ?? null, slotsPerStart: slotsPerStart ?? null };
}
