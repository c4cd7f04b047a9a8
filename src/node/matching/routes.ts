import { isDeepStrictEqual } from 'node:util';
import { keyedName, nameParts, routeOf } from '../../config/route-key.ts';
import { isRouteName } from '../../config/route-name.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import { PullproxyError } from '../../errors.ts';
import { HeldQueue, type HeldTally } from './held-queue.ts';
import { Rematch } from './rematch.ts';
import { Route } from './route.ts';
import { pathOf, RouteTable, readingsOf, type TableMatch } from './route-table.ts';
import type { Visit } from './visit.ts';

/** After its last linker has left, a route without settings is still known for this long: clients that come during a restart are held, not refused. */
const ROUTE_MEMORY_MS = 60_000;
/** How often routes that are known no longer are looked for. */
const FORGET_GAP_MS = 1_000;
/** Routes that are known only because a linker serves them; configured ones are not counted. */
const LINKED_ROUTES_MAX = 100_000;
/** Those among them that linkers with one secret made known: the secret of a wildcard allows any number of names. */
const ROUTES_PER_SECRET_MAX = 10_000;
/** Wildcards that are looked up for a host, the least specific ones: a request for a host of a hundred labels must not cost a hundred questions. */
const WILDCARD_LOOKUPS_MAX = 4;

export interface RouteEvents {
  /** The visit was held for too long; it is out of its queue. */
  expired(visit: Visit): void;
  /** The held visit asks for something else than before. */
  asksAnew?(visit: Visit, route: Route): void;
  /** Its clients leave before they are served: from now on those who would wait for longer are refused. */
  overloaded?(route: Route, waitMs: number): void;
  /** The visit waits no longer for the instance that it prefers. */
  preferenceOver?(visit: Visit, route: Route): void;
  /** Held clients of the route wait only for a slot from now on. */
  rematch(route: Route): void;
  /** The route has other keys than before, or none: nothing that waits for this route, or serves it, may do so any more. */
  ended?(route: Route, hasRoute: boolean): void;
}

/** The routes that this node knows: configured ones, and those that a linker serves. */
export class Routes {
  readonly #routes = new Map<string, Route>();
  readonly #defaults: RouteSettings;
  readonly #tally: HeldTally;
  readonly #events: RouteEvents;
  readonly #now: () => number;
  readonly #perSecretMax: number;
  /** Secret → routes that it made known. */
  readonly #counts = new Map<string, number>();
  #configured: ReadonlyMap<string, RouteSettings> = new Map();
  readonly #paused = new Set<string>();
  /** Known routes that are keys of others. */
  readonly #keyed = new Set<Route>();
  /** Known routes that are wildcards, `*` not counted: most nodes have none, and nobody looks for them then. */
  #wildcards = 0;
  /** Null: every route has the host that it is named after. */
  #table: RouteTable | null = null;
  #forgetsAt = Number.NEGATIVE_INFINITY;

  /** `now`: monotonic ms. */
  constructor(
    defaults: RouteSettings,
    tally: HeldTally,
    events: RouteEvents,
    { perSecretMax = ROUTES_PER_SECRET_MAX, now = () => performance.now() }: { perSecretMax?: number | undefined; now?: () => number } = {},
  ) {
    this.#perSecretMax = perSecretMax;
    this.#defaults = defaults;
    this.#tally = tally;
    this.#events = events;
    this.#now = now;
  }

  all(): Iterable<Route> {
    this.#forget();
    return this.#routes.values();
  }

  /** As `known`, and also one that is about to be forgotten. */
  get(name: string): Route | undefined {
    return this.#routes.get(name);
  }

  /** The route of exactly this name. Keys are found by their route only: hosts are looked up here. */
  known(name: string): Route | null {
    const route = this.#routes.get(name);
    return route !== undefined && !route.isKey && this.#isKnown(route) ? route : null;
  }

  /** Known keys of routes. */
  get keyed(): Iterable<Route> {
    return this.#keyed;
  }

  /** The parent's key, if it is known here. */
  keyOf(parent: Route, key: string): Route | null {
    return this.#routes.get(keyedName(parent.name, key)) ?? null;
  }

  /** The same, made known. */
  addKey(parent: Route, key: string): Route {
    return this.keyOf(parent, key) ?? this.#add(keyedName(parent.name, key), parent.settings);
  }

  /** The route and its keys. */
  family(name: string): Route[] {
    const route = this.#routes.get(name);
    const keys = [...this.#keyed].filter((one) => routeOf(one.name) === name);
    return route === undefined ? keys : [route, ...keys];
  }

  /** Why a linker can't serve by this name: a route has either keys, or instances of its own. Null: it can. */
  refusal(name: string): string | null {
    const parts = nameParts(name);
    const settings = this.#configured.get(parts.route);
    if (settings === undefined || (settings.key !== undefined) === (parts.key !== null)) return null;
    if (parts.key !== null) return 'the route has no keys: run the linker without --key';
    return 'the route has keys: say for which one the instance is (--key, or PULLPROXY_KEY as the startup command finds it)';
  }

  /**
   * The route for a request: as for its host, and within a host the longest prefix of the path counts. An error: the path can be read in two
   * ways, which belong to two routes.
   */
  matchRequest(host: string, request: { readonly target: string }): Route | PullproxyError | null {
    return this.#table === null ? this.match(host) : this.#matchIn(this.#table, host, pathOf(request.target));
  }

  /** The route for a host name: the exact one, else the longest wildcard above it, else `*`. */
  match(host: string): Route | null {
    if (this.#table !== null) return this.#named(this.#find(this.#table, host, ''));
    const exact = this.known(host);
    if (exact !== null) return exact;
    if (this.#wildcards > 0) {
      for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
        const route = this.known(`*${host.slice(dot)}`);
        if (route !== null) return route;
      }
    }
    return this.known('*');
  }

  /** How much of the target's path belongs to the route's name, and not to its application. */
  prefixOf(route: Route, host: string, target: string): string {
    const table = this.#table;
    const match = table === null ? null : this.#find(table, host, pathOf(target));
    return match !== null && match.route === route.name ? match.prefix : '';
  }

  #matchIn(table: RouteTable, host: string, path: string): Route | PullproxyError | null {
    const match = this.#find(table, host, path);
    if (table.hasPrefixes) {
      const readings = readingsOf(path);
      if (readings === null) return new PullproxyError('bad_request', 'a long path that can be read in several ways');
      for (const reading of readings) {
        if (this.#find(table, host, reading)?.route !== match?.route)
          return new PullproxyError('bad_request', 'a path that can be read in two ways, which belong to two routes');
      }
    }
    return this.#named(match);
  }

  #named(match: TableMatch | null): Route | null {
    return match === null ? null : (this.#routes.get(match.route) ?? null);
  }

  #find(table: RouteTable, host: string, path: string): TableMatch | null {
    const exact = this.#findAt(table, host, path);
    if (exact !== null) return exact;
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      const above = this.#findAt(table, `*${host.slice(dot)}`, path);
      if (above !== null) return above;
    }
    return this.#findAt(table, '*', path);
  }

  #findAt(table: RouteTable, host: string, path: string): TableMatch | null {
    const match = table.at(host, path);
    if (match !== null) return match;
    return !table.owns(host) && this.known(host) !== null ? { route: host, prefix: '' } : null;
  }

  /** The names under which a linker may serve a host, most specific first. Invalid names are left out. */
  candidates(host: string): string[] {
    const names: string[] = [];
    for (let dot = host.lastIndexOf('.'); dot !== -1 && names.length < WILDCARD_LOOKUPS_MAX; dot = host.lastIndexOf('.', dot - 1)) {
      names.unshift(`*${host.slice(dot)}`);
      if (dot === 0) break;
    }
    return [host, ...names, '*'].filter((name) => isRouteName(name) && this.#table?.owns(name) !== true);
  }

  /** The route of a linker, made known by it and its `secret`. Null when too many are known already. */
  linked(name: string, secret: string | null = null): Route | null {
    let route = this.#routes.get(name);
    if (route === undefined) {
      this.#forget();
      if (this.#routes.size - this.#configured.size >= LINKED_ROUTES_MAX || this.#countOf(secret) >= this.#perSecretMax) return null;
      route = this.#add(name, this.#defaults);
      this.#own(route, secret);
    }
    route.standing.knownUntil = this.#now() + ROUTE_MEMORY_MS;
    return route;
  }

  /** The route of a linker that is gone, known for a while longer; undefined when it was too many to become known. A key is known by its route. */
  remembered(name: string): Route | undefined {
    const route = this.#routes.get(name);
    if (route !== undefined) route.standing.knownUntil = route.parent === null ? this.#now() + ROUTE_MEMORY_MS : Number.NEGATIVE_INFINITY;
    return route;
  }

  /** Nothing is given to its application until `resume`, also when it becomes known later. */
  pause(name: string): void {
    this.#paused.add(name);
    for (const route of this.family(name)) route.pause();
  }

  /** Returns the routes that go on. */
  resume(name: string): readonly Route[] {
    this.#paused.delete(name);
    const routes = this.family(name);
    for (const route of routes) route.resume();
    return routes;
  }

  /** Takes the whole set of configured routes. */
  configure(configured: ReadonlyMap<string, RouteSettings>): void {
    this.#configured = configured;
    this.#table = RouteTable.of(configured);
    const rekeyed = new Set<string>();
    for (const [name, settings] of configured) {
      const route = this.#routes.get(name) ?? this.#add(name, settings);
      if (route.standing.configured && !isDeepStrictEqual(route.settings.key, settings.key)) rekeyed.add(name);
      route.standing.configured = true;
      this.#own(route, null);
      route.configure(settings);
      if (rekeyed.has(name)) this.#events.ended?.(route, true);
    }
    for (const route of this.#routes.values()) {
      if (!route.standing.configured || configured.has(route.name)) continue;
      route.standing.configured = false;
      route.configure(this.#defaults);
    }
    for (const route of this.#keyed) this.#configureKey(route, rekeyed);
    this.#forget();
  }

  #configureKey(route: Route, rekeyed: ReadonlySet<string>): void {
    const name = routeOf(route.name);
    const settings = this.#configured.get(name);
    const parent = this.#routes.get(name);
    if (settings?.key === undefined || parent === undefined || rekeyed.has(name)) {
      this.#events.ended?.(route, settings !== undefined);
      return;
    }
    route.adoptedBy(parent);
    route.configure(settings);
  }

  #countOf(secret: string | null): number {
    return secret === null ? 0 : (this.#counts.get(secret) ?? 0);
  }

  #own(route: Route, secret: string | null): void {
    for (const [by, change] of [
      [route.standing.knownBy, -1],
      [secret, 1],
    ] as const) {
      if (by === null) continue;
      const count = this.#countOf(by) + change;
      if (count > 0) this.#counts.set(by, count);
      else this.#counts.delete(by);
    }
    route.standing.knownBy = secret;
  }

  #isKnown({ standing: { configured, knownUntil }, slots, heldHere }: Route): boolean {
    return configured || slots.lenders.length > 0 || heldHere > 0 || knownUntil > this.#now();
  }

  #add(name: string, settings: RouteSettings): Route {
    const held = new HeldQueue<Visit>(settings.holdTimeoutMs, this.#tally, (visit) => this.#events.expired(visit));
    held.patience(settings.holdTimeoutMs, settings.coldHoldTimeoutMs);
    const route: Route = new Route(name, settings, held, new Rematch(() => this.#events.rematch(route)), {
      asksAnew: (visit) => this.#events.asksAnew?.(visit, route),
      overloaded: (waitMs) => this.#events.overloaded?.(route, waitMs),
      preferringQueue: (waitMs, discipline) =>
        new HeldQueue<Visit>(waitMs, this.#tally, (visit) => this.#events.preferenceOver?.(visit, route), discipline),
      preferenceOver: (visit) => this.#events.preferenceOver?.(visit, route),
    });
    const parent = routeOf(name);
    if (this.#paused.has(parent)) route.pause();
    this.#routes.set(name, route);
    if (route.isKey) this.#addToParent(route, parent);
    if (name.startsWith('*.')) this.#wildcards++;
    return route;
  }

  #addToParent(route: Route, name: string): void {
    this.#keyed.add(route);
    const parent = this.#configured.has(name) ? this.#routes.get(name) : undefined;
    if (parent === undefined) return;
    route.adoptedBy(parent);
    route.configure(parent.settings);
  }

  /** At most one look at all routes in FORGET_GAP_MS, however many are made known meanwhile. */
  #forget(): void {
    const now = this.#now();
    if (now < this.#forgetsAt) return;
    this.#forgetsAt = now + FORGET_GAP_MS;
    for (const route of this.#routes.values()) {
      if (this.#isKnown(route)) continue;
      this.#routes.delete(route.name);
      this.#keyed.delete(route);
      this.#own(route, null);
      if (route.name.startsWith('*.')) this.#wildcards--;
    }
  }
}
