/** Says that clients of a route are held here and that no slot is known for them: to the other nodes, and to whoever starts instances. */
import type { ClusterListener, Peer } from '../cluster.ts';
import type { Bell, Matched } from '../directory.ts';
import { DEMAND_ANEW_GAP_MS, DEMAND_GAP_MS } from '../limits.ts';

interface DemandCallsContext {
  readonly self: Peer;
  readonly bell: Bell;
  readonly listener: ClusterListener;
  now(): number;
}

export class DemandCalls {
  readonly #route: string;
  readonly #context: DemandCallsContext;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(route: string, context: DemandCallsContext) {
    this.#route = route;
    this.#context = context;
  }

  /** `isAnew`: nodes with slots have not heard of these clients. Returns 0, or in how many ms it may be said: nothing was said now. */
  say({ now: saidAt, oldestHere, waiting, firstHere: first = null }: Matched, isAnew: boolean): number {
    const { bell, listener, self } = this.#context;
    const now = this.#context.now();
    const gapMs = this.#saidAt + (isAnew ? DEMAND_ANEW_GAP_MS : DEMAND_GAP_MS) - now;
    if (gapMs > 0) return gapMs;
    this.#saidAt = now;
    const who = first === null ? { oldest: oldestHere ?? saidAt } : { oldest: first.arrival, rank: first };
    if (waiting > 0) bell.demand({ route: this.#route, node: self.id, saidAt, ...who });
    listener.onStartNeeded(this.#route);
    return 0;
  }
}
