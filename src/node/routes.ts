import type { RouteSettings } from '../config/route-settings.ts';
import { HeldQueue, type HeldEntry } from './held-queue.ts';
import { RouteCounters } from './counters.ts';
import { Slots } from './slots.ts';

/** After its last linker has left, a route without settings is still known for this long: clients that come during a restart are held, not refused. */
const ROUTE_MEMORY_MS = 60_000;
/** Routes that are known only because a linker serves them; configured ones are not counted. */
const LINKED_ROUTES_MAX = 100_000;

/** One application: who waits for it here and who serves it from here. */
export class Route {
  readonly name: string;
  settings: RouteSettings;
  readonly held: HeldQueue;
  readonly slots = new Slots();
  readonly counters = new RouteCounters();
  /** The newest ready instance in the whole cluster. */
  newest: string | null = null;
  /** While it is in the future, idle slots wait here to be moved to a node that holds an older client. */
  yieldsUntil = 0;
  configured = false;
  /** A route without settings is forgotten after this, unless it has lenders. */
  knownUntil = 0;

  constructor(name: string, settings: RouteSettings, expired: (entry: HeldEntry) => void) {
    this.name = name;
    this.settings = settings;
    this.held = new HeldQueue(settings.holdTimeoutMs, expired);
  }

  configure(settings: RouteSettings): void {
    this.settings = settings;
    this.held.holdTimeoutMs = settings.holdTimeoutMs;
  }
}

/** The routes that this node knows: configured ones, and those that a linker serves. */
export class Routes {
  readonly #routes = new Map<string, Route>();
  readonly #defaults: RouteSettings;
  readonly #expired: (entry: HeldEntry) => void;
  #configured: ReadonlyMap<string, RouteSettings> = new Map();

  constructor(defaults: RouteSettings, expired: (entry: HeldEntry) => void) {
    this.#defaults = defaults;
    this.#expired = expired;
  }

  all(): Iterable<Route> {
    return this.#routes.values();
  }

  get(name: string): Route | undefined {
    return this.#routes.get(name);
  }

  /** The route for a host name: the exact one, else the longest wildcard above it, else `*`. */
  match(host: string): Route | null {
    const exact = this.#routes.get(host);
    if (exact !== undefined) return exact;
    for (const name of wildcards(host)) {
      const route = this.#routes.get(name);
      if (route !== undefined) return route;
    }
    return null;
  }

  /** The names under which a host may be served, most specific first. */
  candidates(host: string): string[] {
    return [host, ...wildcards(host)];
  }

  /** The route of a linker, made known by it. Null when too many are known already. */
  linked(name: string): Route | null {
    let route = this.#routes.get(name);
    if (route === undefined) {
      this.#forget();
      if (this.#routes.size - this.#configured.size >= LINKED_ROUTES_MAX) return null;
      route = this.#add(name, this.#defaults);
    }
    route.knownUntil = performance.now() + ROUTE_MEMORY_MS;
    return route;
  }

  /** Takes the whole set of configured routes. */
  configure(configured: ReadonlyMap<string, RouteSettings>): void {
    this.#configured = configured;
    for (const [name, settings] of configured) {
      const route = this.#routes.get(name) ?? this.#add(name, settings);
      route.configured = true;
      route.configure(settings);
    }
    for (const route of this.#routes.values()) {
      if (!route.configured || configured.has(route.name)) continue;
      route.configured = false;
      route.configure(this.#defaults);
    }
    this.#forget();
  }

  #add(name: string, settings: RouteSettings): Route {
    const route = new Route(name, settings, this.#expired);
    this.#routes.set(name, route);
    return route;
  }

  #forget(): void {
    const now = performance.now();
    for (const route of this.#routes.values()) {
      if (route.configured || route.slots.lenders.length > 0 || route.held.size > 0 || route.knownUntil > now) continue;
      this.#routes.delete(route.name);
    }
  }
}

/** `a.b.example.com` → `*.b.example.com`, `*.example.com`, `*.com`, `*`. */
function* wildcards(host: string): Generator<string> {
  for (let dot = host.indexOf('.'); dot !== -1 && !host.startsWith('['); dot = host.indexOf('.', dot + 1)) yield `*${host.slice(dot)}`;
  yield '*';
}
