/**
 * Requests that a route sleeps through, while no slot is idle here. They are in the queue of their node and not in the directory, so they are no
 * demand: nothing is started for them. In return the node asks for a slot by itself, at intervals, and sends them away when no instance is there.
 */
import { unawaited } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { Holds } from './holds.ts';
import type { Route } from './route.ts';

/** Between two looks while some are held. */
const LOOK_MS = 100;

export class Sleepers {
  readonly #cluster: Cluster;
  readonly #holds: Holds;
  /** Routes that are being looked at. */
  readonly #looking = new Set<Route>();

  constructor(cluster: Cluster, holds: Holds) {
    this.#cluster = cluster;
    this.#holds = holds;
  }

  /** Some are held, and no slot is idle here. */
  look(route: Route): void {
    if (route.quietHeld === 0 || route.isPaused || this.#looking.has(route)) return;
    this.#looking.add(route);
    unawaited(
      'directory',
      this.#look(route).finally(() => this.#looking.delete(route)),
    );
  }

  async #look(route: Route): Promise<void> {
    const isAwake = route.hasReady || (await this.#cluster.isAwake(route.name).catch(() => false));
    if (route.quietHeld === 0 || route.isPaused) return;
    if (isAwake || route.hasReady) {
      if (!route.hasIdle) this.#cluster.pull(route.name, route.quietHeld);
      route.rematch.within(LOOK_MS, performance.now());
    } else {
      this.#sendAway(route);
    }
  }

  #sendAway(route: Route): void {
    const sleepers = [];
    for (let visit = route.held.oldest; visit !== null; visit = visit.newer) if (visit.quiet) sleepers.push(visit);
    for (const visit of sleepers) this.#holds.refuse(visit, route.asleep);
  }
}
