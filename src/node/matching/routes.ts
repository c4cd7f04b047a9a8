import { isRouteName } from '../../config/route-name.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import { ColdStageCounters } from '../visits/cold-start.ts';
import { RouteCounters } from './counters.ts';
import { type HeldEntry, HeldQueue, type HeldTally } from './held-queue.ts';
import { type Lender, Slots } from './slots.ts';

/** After its last linker has left, a route without settings is still known for this long: clients that come during a restart are held, not refused. */
const ROUTE_MEMORY_MS = 60_000;
/** How often routes that are known no longer are looked for. */
const FORGET_GAP_MS = 1_000;
/** Routes that are known only because a linker serves them; configured ones are not counted. */
const LINKED_ROUTES_MAX = 100_000;
/** Of these, those that linkers with one secret made known: the secret of a wildcard allows any number of names. */
const ROUTES_PER_SECRET_MAX = 10_000;
/** Wildcards that are looked up for a host, the least specific ones: who asks for a host of a hundred labels must not cost a hundred questions. */
const WILDCARD_LOOKUPS_MAX = 4;

/** One application: who waits for it here and who serves it from here. */
export class Route {
  readonly name: string;
  settings: RouteSettings;
  readonly held: HeldQueue;
  readonly slots = new Slots();
  readonly counters = new RouteCounters();
  readonly coldStages = new ColdStageCounters();
  /** The newest ready instance in the whole cluster. */
  newest: string | null = null;
  /** The one that was it before. */
  newestBefore: string | null = null;
  /** The instance whose link here was the last one to break. */
  lastGone: string | null = null;
  /** Runs while idle slots are kept back here, to be moved to a node that holds an older client. */
  yieldTimer: NodeJS.Timeout | null = null;
  /** Runs while clients wait for another instance than one that fails. */
  suspectTimer: NodeJS.Timeout | null = null;
  /** They were kept back in vain: not again before this. */
  yieldsAgainAt = 0;
  /** Its instances fail to start: until then whoever finds none is sent away. performance.now() in ms. */
  failingUntil = 0;
  /** Slots of the newest instance are not asked for before this; performance.now() in ms. */
  pullsAgainAt = 0;
  /** How often they were asked for since one came. */
  pullsInVain = 0;
  /** Since the cluster was told of them last. */
  slotsChanged = false;
  configured = false;
  /** A route without settings is forgotten after this, unless it has lenders or holds clients. */
  knownUntil = 0;
  /** The secret of the linker that made it known; null: a configured route, or one that is served at another node. */
  knownBy: string | null = null;

  constructor(name: string, settings: RouteSettings, tally: HeldTally, expired: (entry: HeldEntry) => void) {
    this.name = name;
    this.settings = settings;
    this.held = new HeldQueue(settings.holdTimeoutMs, tally, expired);
  }

  configure(settings: RouteSettings): void {
    this.settings = settings;
    this.held.holdTimeoutMs = settings.holdTimeoutMs;
  }

  /** As far as this node knows, another instance than this one serves. */
  hasOther(instance: string): boolean {
    if (this.slots.lenders.some((lender) => lender.instance !== instance)) return true;
    return [this.newest, this.newestBefore].some((other) => other !== null && other !== instance && other !== this.lastGone);
  }

  /** Another node may have the lender's idle slots. It does not want those of a suspect while others serve. */
  mayMove({ relayed, trust, instance }: Lender): boolean {
    return !relayed && (trust?.state !== 'suspect' || !this.hasOther(instance));
  }

  /** Idle slots here that another node may have. */
  get movable(): number {
    const suspect = this.slots.lenders.find(({ trust }) => trust?.state === 'suspect');
    return this.slots.movable(suspect === undefined || !this.hasOther(suspect.instance));
  }

  /** As far as this node knows, no instance is ready anywhere. */
  get isCold(): boolean {
    const someReady = this.slots.lenders.some(({ birth }) => birth === undefined || birth.readyAt !== null);
    return !someReady && (this.newest === null || this.newest === this.lastGone);
  }
}

/** The routes that this node knows: configured ones, and those that a linker serves. */
export class Routes {
  readonly #routes = new Map<string, Route>();
  readonly #defaults: RouteSettings;
  readonly #tally: HeldTally;
  readonly #expired: (entry: HeldEntry) => void;
  readonly #now: () => number;
  readonly #perSecretMax: number;
  /** Secret → routes that it made known. */
  readonly #counts = new Map<string, number>();
  #configured: ReadonlyMap<string, RouteSettings> = new Map();
  /** Known routes that are wildcards, `*` not counted: most nodes have none, and nobody looks for them then. */
  #wildcards = 0;
  #forgetsAt = Number.NEGATIVE_INFINITY;

  /** `now`: monotonic ms. */
  constructor(
    defaults: RouteSettings,
    tally: HeldTally,
    expired: (entry: HeldEntry) => void,
    { perSecretMax = ROUTES_PER_SECRET_MAX, now = () => performance.now() }: { perSecretMax?: number | undefined; now?: () => number } = {},
  ) {
    this.#perSecretMax = perSecretMax;
    this.#defaults = defaults;
    this.#tally = tally;
    this.#expired = expired;
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

  /** The route of exactly this name. */
  known(name: string): Route | null {
    const route = this.#routes.get(name);
    return route !== undefined && this.#isKnown(route) ? route : null;
  }

  /** The route for a host name: the exact one, else the longest wildcard above it, else `*`. */
  match(host: string): Route | null {
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

  /** The names under which a linker may serve a host, most specific first. What is no route's name nobody is asked about. */
  candidates(host: string): string[] {
    const names: string[] = [];
    for (let dot = host.lastIndexOf('.'); dot !== -1 && names.length < WILDCARD_LOOKUPS_MAX; dot = host.lastIndexOf('.', dot - 1)) {
      names.unshift(`*${host.slice(dot)}`);
      if (dot === 0) break;
    }
    return [host, ...names, '*'].filter(isRouteName);
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
    route.knownUntil = this.#now() + ROUTE_MEMORY_MS;
    return route;
  }

  /** The route of a linker that is gone, known for a while longer; undefined when it was too many to become known. */
  remembered(name: string): Route | undefined {
    const route = this.#routes.get(name);
    if (route !== undefined) route.knownUntil = this.#now() + ROUTE_MEMORY_MS;
    return route;
  }

  /** Takes the whole set of configured routes. */
  configure(configured: ReadonlyMap<string, RouteSettings>): void {
    this.#configured = configured;
    for (const [name, settings] of configured) {
      const route = this.#routes.get(name) ?? this.#add(name, settings);
      route.configured = true;
      this.#own(route, null);
      route.configure(settings);
    }
    for (const route of this.#routes.values()) {
      if (!route.configured || configured.has(route.name)) continue;
      route.configured = false;
      route.configure(this.#defaults);
    }
    this.#forget();
  }

  #countOf(secret: string | null): number {
    return secret === null ? 0 : (this.#counts.get(secret) ?? 0);
  }

  #own(route: Route, secret: string | null): void {
    for (const [by, change] of [
      [route.knownBy, -1],
      [secret, 1],
    ] as const) {
      if (by === null) continue;
      const count = this.#countOf(by) + change;
      if (count > 0) this.#counts.set(by, count);
      else this.#counts.delete(by);
    }
    route.knownBy = secret;
  }

  #isKnown({ configured, slots, held, knownUntil }: Route): boolean {
    return configured || slots.lenders.length > 0 || held.size > 0 || knownUntil > this.#now();
  }

  #add(name: string, settings: RouteSettings): Route {
    const route = new Route(name, settings, this.#tally, this.#expired);
    this.#routes.set(name, route);
    if (name.startsWith('*.')) this.#wildcards++;
    return route;
  }

  /** At most one look at all routes in FORGET_GAP_MS, however many are made known meanwhile. */
  #forget(): void {
    const now = this.#now();
    if (now < this.#forgetsAt) return;
    this.#forgetsAt = now + FORGET_GAP_MS;
    for (const route of this.#routes.values()) {
      if (this.#isKnown(route)) continue;
      this.#routes.delete(route.name);
      this.#own(route, null);
      if (route.name.startsWith('*.')) this.#wildcards--;
    }
  }
}
