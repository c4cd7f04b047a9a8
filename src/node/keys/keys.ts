/**
 * Routes with keys: each key that is awake is a route of its own, made known when somebody asks for it. Before that its pattern, its route's `keyCheck`
 * and the number of keys that are awake are looked at, because strangers may invent keys. A key that sleeps is nowhere: neither here nor in the directory.
 */
import { guard, unawaited } from '../../boundary.ts';
import type { Cluster, KeyPlace } from '../../cluster/cluster.ts';
import { matchesPattern } from '../../config/key-source.ts';
import { keyedName, nameParts } from '../../config/route-key.ts';
import { PullproxyError } from '../../errors.ts';
import type { Holds } from '../matching/holds.ts';
import type { Route } from '../matching/route.ts';
import type { Routes } from '../matching/routes.ts';
import type { Visit } from '../matching/visit.ts';
import type { KeyChecks } from './key-checks.ts';
import { type Asked, keyOf } from './key-of.ts';

/** Clients that wait until their key may wake. */
export const OPENING_MAX = 1_000;

/** How often places of keys that are awake are kept, and without that, how long they stay. */
const KEEP_GAP_MS = 1_000;
const KEPT_MS = 5_000;

/** Made once, as those of holds.ts are. */
const UNKNOWN_KEY = new PullproxyError('unknown_key');
const UNCLEAR = new PullproxyError('bad_request', 'the key of the request can be read in two ways');
const KEYS_FULL = new PullproxyError('keys_full');
const UNCHECKED = new PullproxyError('key_unchecked');
const DIRECTORY_AWAY = new PullproxyError('directory_away');
const QUEUE_FULL = new PullproxyError('queue_full');
const UNKNOWN_ROUTE = new PullproxyError('unknown_route');
const OTHER_KEYS = new PullproxyError('hold_timeout', 'the route has other keys now', { retryAfter: 1 });

export interface KeysContext {
  readonly cluster: Cluster;
  readonly routes: Routes;
  readonly holds: Holds;
  /** The visit is for this key. */
  readonly enter: (visit: Visit, key: Route) => void;
  readonly checks: KeyChecks;
}

export class Keys {
  readonly #context: KeysContext;
  /** By the key's name: the same question is asked once. */
  readonly #opening = new Map<string, Promise<PullproxyError | null>>();
  readonly #timer: NodeJS.Timeout;
  #waiting = 0;

  constructor(context: KeysContext) {
    this.#context = context;
    this.#timer = setInterval(
      guard('timer', () => this.#keep()),
      KEEP_GAP_MS,
    ).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** `parent` has keys. The visit goes to that of its request, or is refused. */
  admit(visit: Visit, asked: Asked, parent: Route): void {
    const { routes, enter, holds } = this.#context;
    const { key: source, keyPattern } = parent.settings;
    // What is counted of it is counted at its route.
    visit.admitted(parent);
    const said = source === undefined ? 'missing' : keyOf(source, asked, visit.word);
    if (said === 'unclear' || said === 'missing') {
      holds.refuse(visit, said === 'unclear' ? UNCLEAR : UNKNOWN_KEY);
      return;
    }
    const { key } = said;
    const known = routes.keyOf(parent, key);
    if (known !== null) enter(visit, known);
    else if (keyPattern !== undefined && !matchesPattern(keyPattern, key)) holds.refuse(visit, UNKNOWN_KEY);
    else if (this.#waiting >= OPENING_MAX) holds.refuse(visit, QUEUE_FULL);
    else unawaited(visit, this.#open(visit, parent, key));
  }

  async #open(visit: Visit, parent: Route, key: string): Promise<void> {
    const { routes, enter, holds } = this.#context;
    const source = parent.settings.key;
    this.#waiting++;
    const refusal = await this.#mayWake(parent, key, visit.quiet).finally(() => this.#waiting--);
    if (visit.isOver) return;
    // The route may be another one by now.
    if (routes.known(parent.name) !== parent || parent.settings.key === undefined) holds.refuse(visit, UNKNOWN_ROUTE);
    else if (parent.settings.key.from !== source?.from) holds.refuse(visit, OTHER_KEYS);
    else if (refusal !== null) holds.refuse(visit, refusal);
    else enter(visit, routes.addKey(parent, key));
  }

  /** A request that starts nothing takes no place. */
  #mayWake(parent: Route, key: string, isQuiet: boolean): Promise<PullproxyError | null> {
    const name = `${keyedName(parent.name, key)} ${isQuiet}`;
    const running = this.#opening.get(name) ?? this.#decide(parent, key, isQuiet).finally(() => this.#opening.delete(name));
    this.#opening.set(name, running);
    return running;
  }

  async #decide(parent: Route, key: string, isQuiet: boolean): Promise<PullproxyError | null> {
    const { cluster, checks } = this.#context;
    const { keyCheck, maxKeys, startTimeoutMs } = parent.settings;
    const answer = keyCheck === undefined ? 'yes' : await checks.ask(keyedName(parent.name, key), keyCheck);
    if (answer !== 'yes') return answer === 'no' ? UNKNOWN_KEY : UNCHECKED;
    if (isQuiet) return null;
    if (!cluster.connected) return DIRECTORY_AWAY;
    const hasPlace = await cluster.keyPlaces.take(parent.name, key, maxKeys, startTimeoutMs).catch(() => null);
    if (hasPlace === null) return DIRECTORY_AWAY;
    return hasPlace ? null : KEYS_FULL;
  }

  /** Nothing may come to this route, or from it, any more: its instances leave, and clients who wait hear of it. */
  ended(route: Route, hasRoute: boolean): void {
    const { holds } = this.#context;
    for (const queue of [route.held, route.affinity?.waiting])
      for (let visit = queue?.oldest ?? null; visit !== null; visit = queue?.oldest ?? null)
        holds.refuse(visit, hasRoute ? OTHER_KEYS : UNKNOWN_ROUTE);
    if (!route.isKey) return;
    for (const { relayed, link } of route.slots.lenders) {
      if (relayed) continue;
      link.turnAway();
      link.dismiss();
    }
  }

  /** Its last instance here is gone: unless another node has one, or holds clients, its place is free soon. */
  left({ name, parent, held, quietHeld }: Route): void {
    const { key } = nameParts(name);
    if (parent === null || key === null || held.size > quietHeld) return;
    const { cluster } = this.#context;
    if (cluster.connected) cluster.keyPlaces.keep(parent.name, [{ key, forMs: KEPT_MS, atLeast: false }]).catch(() => undefined);
  }

  /** While clients of a key are held it may be started at any moment; with an instance, it is awake as long as that is linked. */
  #keep(): void {
    const { cluster, routes } = this.#context;
    const places = new Map<string, KeyPlace[]>();
    for (const { name, parent, held, quietHeld, slots, settings } of routes.keyed) {
      const isHeld = held.size > quietHeld;
      const key = nameParts(name).key;
      if (parent === null || key === null || (!isHeld && slots.lenders.length === 0)) continue;
      const own = places.get(parent.name) ?? [];
      own.push({ key, forMs: isHeld ? settings.startTimeoutMs : KEPT_MS, atLeast: isHeld });
      places.set(parent.name, own);
    }
    if (!cluster.connected) return;
    for (const [route, own] of places) cluster.keyPlaces.keep(route, own).catch(() => undefined);
  }
}
