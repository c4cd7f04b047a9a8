/**
 * The routes that are paused, as this node knows them. While a route is paused nothing is given to its application: everybody is held, and time does
 * not count against those who wait. The node says with its beats what is still in flight.
 */
import { guard } from '../../boundary.ts';
import type { KnownPause, PausedHere, PausedRoute } from '../../cluster/cluster.ts';
import { routeOf } from '../../config/route-key.ts';
import type { Log } from '../../log.ts';
import type { Route } from './route.ts';
import type { Routes } from './routes.ts';

/** Times are performance.now() in ms. */
interface Paused {
  readonly pause: KnownPause;
  readonly untilAt: number;
}

export interface PausesContext {
  readonly routes: Routes;
  /** It goes on: who is held may have slots. */
  resumed(route: Route): void;
  /** Something that the cluster should hear soon. */
  changed(): void;
  /** The pause of the route is over by its time. */
  lapsed(route: string): void;
  readonly log: Log;
}

export class Pauses {
  readonly #context: PausesContext;
  readonly #paused = new Map<string, Paused>();
  #timer: NodeJS.Timeout | null = null;

  constructor(context: PausesContext) {
    this.#context = context;
  }

  /** Takes the whole set. */
  set(pauses: ReadonlyMap<string, KnownPause>): void {
    const at = performance.now();
    let isChanged = false;
    for (const [route, pause] of pauses) {
      const known = this.#paused.get(route);
      // Its end was computed when it was heard of: a clock that is set meanwhile does not move it.
      if (known?.pause.id === pause.id) continue;
      this.#paused.set(route, { pause, untilAt: at + pause.leftMs });
      this.#context.routes.pause(route);
      if (known === undefined) this.#context.log.info({ route, forMs: Math.round(pause.leftMs) }, 'route paused');
      isChanged = true;
    }
    for (const route of [...this.#paused.keys()]) if (!pauses.has(route)) this.#end(route);
    this.#arm();
    if (isChanged) this.#context.changed();
  }

  /** How long the route, or that of the key, stays paused; 0: it is not. */
  leftMs(name: string): number {
    const paused = this.#paused.get(routeOf(name));
    return paused === undefined ? 0 : Math.max(0, paused.untilAt - performance.now());
  }

  /** For the cluster; undefined: none is paused. */
  get here(): readonly PausedHere[] | undefined {
    if (this.#paused.size === 0) return undefined;
    return [...this.#paused].map(([route, { pause }]) => {
      const { inFlight, tunnels } = this.#inFlight(route);
      return { route, id: pause.id, inFlight, tunnels };
    });
  }

  #inFlight(name: string): { inFlight: number; tunnels: number } {
    const family = this.#context.routes.family(name);
    return {
      inFlight: family.reduce((sum, { slots }) => sum + slots.active, 0),
      tunnels: family.reduce((sum, { tunnels }) => sum + tunnels, 0),
    };
  }

  /** For people, while the directory is away. */
  of(route: string): PausedRoute | null {
    const paused = this.#paused.get(route);
    if (paused === undefined) return null;
    const leftMs = Math.round(this.leftMs(route));
    return { sinceMs: Math.max(0, paused.pause.forMs - leftMs), leftMs, inFlight: this.#inFlight(route).inFlight };
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #end(name: string): void {
    this.#paused.delete(name);
    const { routes, resumed, log } = this.#context;
    log.info({ route: name }, 'route resumed');
    for (const route of routes.resume(name)) resumed(route);
  }

  #arm(): void {
    this.stop();
    if (this.#paused.size === 0) return;
    const next = Math.min(...[...this.#paused.values()].map(({ untilAt }) => untilAt));
    this.#timer = setTimeout(this.#due, Math.max(1, Math.ceil(next - performance.now())));
  }

  readonly #due = guard('timer', (): void => {
    const now = performance.now();
    const over = [...this.#paused].filter(([, { untilAt }]) => untilAt <= now);
    for (const [route] of over) {
      this.#end(route);
      this.#context.lapsed(route);
    }
    this.#arm();
  });
}
