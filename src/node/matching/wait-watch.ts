/** Asks the cluster what it knows of routes where clients are held, for estimates. A route that holds clients for a moment only costs nothing. */
import { guard, unawaited } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { Route } from './route.ts';

const LOOK_EVERY_MS = 250;
/** Routes that are asked for at a look; each is asked for at every second look, if these are enough. */
const ASKS_PER_LOOK_MAX = 200;
const ASK_EVERY_MS = 2 * LOOK_EVERY_MS - LOOK_EVERY_MS / 4;

export class WaitWatch {
  readonly #waits: Cluster['waits'];
  /** Route → when it was asked for, performance.now(); the one that waits longest first. */
  readonly #watched = new Map<Route, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor({ waits }: Pick<Cluster, 'waits'>) {
    this.#waits = waits;
  }

  /** A client of the route is held. */
  watch(route: Route): void {
    if (this.#watched.has(route)) return;
    this.#watched.set(route, Number.NEGATIVE_INFINITY);
    this.#timer ??= setInterval(this.#look, LOOK_EVERY_MS).unref();
  }

  readonly #look = guard('timer', (): void => {
    const now = performance.now();
    let asks = 0;
    for (const [route, askedAt] of this.#watched) {
      if (route.held.size === 0) this.#watched.delete(route);
      else if (now - askedAt >= ASK_EVERY_MS && asks < ASKS_PER_LOOK_MAX) {
        asks++;
        this.#watched.delete(route);
        this.#watched.set(route, now);
        unawaited('directory', this.#ask(route));
      }
      if (asks === ASKS_PER_LOOK_MAX) break;
    }
    if (this.#watched.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  });

  async #ask(route: Route): Promise<void> {
    const heldHere = route.held.size;
    // While it does not answer there are no estimates.
    const supply = await this.#waits.exchange(route.name, route.waits.take()).catch(() => null);
    if (supply !== null) route.waits.learn(supply, heldHere, performance.now());
  }
}
