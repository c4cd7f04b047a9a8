/** What replies to beats say of a route, for the node: its newest instance, those that are ready, starts under way. It ends with the presence. */
import type { ClusterListener, InstanceHome } from '../cluster.ts';
import type { RouteBeatReply } from '../directory.ts';
import { BEAT_MS } from '../limits.ts';

export class RouteNews {
  readonly #route: string;
  readonly #listener: ClusterListener;
  readonly #now: () => number;
  #newest: string | null = null;
  #newestNode: string | null = null;
  #starting: number | undefined;
  /** Undefined: the node did not ask. */
  #ready: readonly InstanceHome[] | undefined;
  #isAwake = false;
  #saidAt = Number.NEGATIVE_INFINITY;
  /** They wait for the next reply. */
  readonly #asking: ((isAwake: boolean) => void)[] = [];
  #hasEnded = false;

  /** `now`: local monotonic ms. */
  constructor(route: string, listener: ClusterListener, now: () => number) {
    this.#route = route;
    this.#listener = listener;
    this.#now = now;
  }

  /** The home node of the newest instance. */
  get newestNode(): string | null {
    return this.#newestNode;
  }

  /** Starts in progress in the cluster; undefined before the first reply. */
  get starting(): number | undefined {
    return this.#starting;
  }

  /** The ready instances were asked for, and are known. */
  get saysReady(): boolean {
    return this.#ready !== undefined;
  }

  take({ newest, newestNode, starting, largest, ready, numbered = [], turnedAway = [] }: RouteBeatReply): void {
    this.#newestNode = newestNode;
    this.#isAwake = newest !== null;
    this.#starting = starting;
    this.#ready = ready;
    this.#saidAt = this.#now();
    this.#tell(this.#isAwake);
    if (this.#hasEnded) return;
    for (const [id, seq] of numbered) if (!turnedAway.includes(id)) this.#listener.onNumbered?.(this.#route, id, seq);
    for (const id of turnedAway) this.#listener.onTurnedAway?.(this.#route, id);
    if (largest !== undefined) this.#listener.onLargest?.(this.#route, largest);
    if (ready !== undefined) this.#listener.onReady?.(this.#route, ready);
    if (newest === null || newest === this.#newest) return;
    this.#newest = newest;
    this.#listener.onNewest(this.#route, newest);
  }

  /** Nothing has changed since the last reply. */
  holds(): void {
    this.#saidAt = this.#now();
    if (this.#ready !== undefined && !this.#hasEnded) this.#listener.onReady?.(this.#route, this.#ready);
  }

  /** Whether an instance is ready anywhere, as of the last second. `ask` sends a beat. */
  isAwake(ask: () => void): Promise<boolean> {
    if (this.#now() - this.#saidAt < BEAT_MS) return Promise.resolve(this.#isAwake);
    if (this.#hasEnded) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      ask();
    });
  }

  /** The directory does not answer. */
  isSilent(): void {
    this.#tell(false);
  }

  end(): void {
    this.#hasEnded = true;
    this.#tell(false);
  }

  #tell(isAwake: boolean): void {
    for (const resolve of this.#asking.splice(0)) resolve(isAwake);
  }
}
