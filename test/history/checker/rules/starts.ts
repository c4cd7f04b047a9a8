/**
 * Startup commands: never more instances than the route may have, none when nobody has asked for anything, never more than its clients could fill, and
 * none is lost: who waits for an instance that may be started gets one. A node says how many it serves with its next word to the directory, so a client
 * who goes from one node to the next may count at both for a moment: what each node had at most of late is added up.
 */
import type { Disturbances } from '../disturbances.ts';
import { type Line, MS, type Report, type Rule, SECOND } from '../line.ts';

/** A start follows demand: it is decided on what was there a moment ago. */
const DECIDED = 4 * SECOND;
/** A start that nothing disturbs is on its way by then. */
const STARTED = 8 * SECOND;
const LOOK_EVERY = 200 * MS;

interface Instance {
  readonly line: Line;
  limit: number;
  /** It takes requests. */
  up: boolean;
}

interface RouteState {
  maxInstances: number;
  /** The largest value of late. */
  maxLately: number;
  maxMovedAt: number;
  concurrency: number;
  readonly alive: Map<string, Instance>;
  /** Those of them that were there when the route was restarted. */
  readonly old: Set<string>;
  readonly outstanding: Map<string, Line>;
  /** By node: those that wait for an answer there, and how many these were at most of late. */
  readonly at: Map<string, Demand>;
  leastLimit: number;
  /** Since when there has been need of one more, with nobody on the way. */
  shortSince: number | null;
  lastStartAt: number;
  said: boolean;
}

/** How many wait at one node, and the most of late. */
class Demand {
  #count = 0;
  /** Falling: only what may still be the largest later is kept. */
  #peaks: { t: number; readonly count: number }[] = [];

  change(t: number, by: 1 | -1): void {
    // It was so until now.
    const last = this.#peaks.at(-1);
    if (last !== undefined && last.count === this.#count) last.t = t;
    this.#count += by;
    while (this.#peaks.length > 0 && (this.#peaks.at(-1)?.count ?? 0) <= this.#count) this.#peaks.pop();
    this.#peaks.push({ t, count: this.#count });
  }

  most(now: number): number {
    while ((this.#peaks[0]?.t ?? now) < now - DECIDED) this.#peaks.shift();
    return Math.max(this.#count, this.#peaks[0]?.count ?? 0);
  }
}

export class Starts implements Rule {
  started = 0;
  readonly #routes = new Map<string, RouteState>();
  readonly #routeOf = new Map<string, string>();
  readonly #sentTo = new Map<string, { readonly route: string; readonly node: string }>();
  /** Requests in applications. */
  readonly #inside = new Map<string, { readonly app: string; left: boolean }>();
  readonly #disturbances: Disturbances;
  readonly #report: Report;
  #lookedAt = 0;

  constructor(disturbances: Disturbances, report: Report) {
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take(line: Line): void {
    const { event, by } = line;
    switch (event.e) {
      case 'route': {
        const state = this.#at(event.route);
        state.maxLately = Math.max(event.maxInstances, event.t < state.maxMovedAt + 60 * SECOND ? state.maxLately : state.maxInstances);
        state.maxMovedAt = event.t;
        state.maxInstances = event.maxInstances;
        state.concurrency = event.concurrency;
        break;
      }
      case 'send':
        this.#sent(event.id, event.route, event.node, line);
        break;
      case 'begin':
        this.#began(event.id, by.name, event.t);
        break;
      case 'end':
        this.#outside(event.id, event.t);
        break;
      case 'got':
        this.#got(event.id, event.t);
        break;
      case 'start':
        this.#start(line, event.startId, event.route);
        break;
      case 'restarts': {
        const { alive, old } = this.#at(event.route);
        for (const startId of alive.keys()) old.add(startId);
        break;
      }
      case 'up':
      case 'agreed':
        this.#limit(by.name, event.limit);
        break;
      case 'leaves':
      case 'gone':
        this.#gone(by.name, event.t);
        break;
      case 'fault':
        if (event.does === 'dies' && event.of?.startsWith('linker:') === true) this.#gone(event.of.slice('linker:'.length), event.t);
    }
    if (event.t < this.#lookedAt + LOOK_EVERY) return;
    this.#lookedAt = event.t;
    for (const [route, state] of this.#routes) this.#look(route, state, event.t);
  }

  #at(route: string): RouteState {
    const state = this.#routes.get(route) ?? {
      maxInstances: 0,
      maxLately: 0,
      maxMovedAt: Number.NEGATIVE_INFINITY,
      concurrency: 1,
      alive: new Map(),
      old: new Set(),
      outstanding: new Map(),
      at: new Map(),
      leastLimit: Number.POSITIVE_INFINITY,
      shortSince: null,
      lastStartAt: 0,
      said: false,
    };
    this.#routes.set(route, state);
    return state;
  }

  #sent(id: string, route: string, node: string, line: Line): void {
    const state = this.#at(route);
    state.outstanding.set(id, line);
    this.#sentTo.set(id, { route, node });
    this.#demandAt(state, node).change(line.event.t, 1);
  }

  #got(id: string, t: number): void {
    const { route = '', node = '' } = this.#sentTo.get(id) ?? {};
    const state = this.#routes.get(route);
    state?.outstanding.delete(id);
    const inside = this.#inside.get(id);
    if (inside !== undefined) {
      inside.left = true;
      return;
    }
    state?.at.get(node)?.change(t, -1);
    this.#sentTo.delete(id);
  }

  /** It may reach its application when its client has just gone. */
  #began(id: string, app: string, t: number): void {
    const route = this.#routeOf.get(app);
    const left = !this.#sentTo.has(id) && route !== undefined;
    this.#inside.set(id, { app, left });
    if (!left) return;
    this.#sentTo.set(id, { route, node: app });
    this.#demandAt(this.#at(route), app).change(t, 1);
  }

  #demandAt(state: RouteState, node: string): Demand {
    const demand = state.at.get(node) ?? new Demand();
    state.at.set(node, demand);
    return demand;
  }

  /** An application that works on after its client has gone takes a slot as long as it does. */
  #outside(id: string, t: number): void {
    const left = this.#inside.get(id)?.left === true;
    this.#inside.delete(id);
    if (left) this.#got(id, t);
  }

  #limit(startId: string, limit: number): void {
    const state = this.#routes.get(this.#routeOf.get(startId) ?? '');
    const one = state?.alive.get(startId);
    if (state === undefined || one === undefined) return;
    one.limit = limit;
    one.up = true;
    state.leastLimit = Math.min(state.leastLimit, Math.max(1, limit));
  }

  #gone(startId: string, t: number): void {
    for (const [id, { app }] of this.#inside) if (app === startId) this.#outside(id, t);
    const state = this.#routes.get(this.#routeOf.get(startId) ?? '');
    state?.alive.delete(startId);
    state?.old.delete(startId);
  }

  #start(line: Line, startId: string, route: string): void {
    this.started++;
    const { t } = line.event;
    const state = this.#at(route);
    const before = [...state.alive.values()].map((one) => one.line);
    state.alive.set(startId, { line, limit: state.concurrency, up: false });
    state.lastStartAt = t;
    state.shortSince = null;
    this.#routeOf.set(startId, route);
    if (this.#disturbances.disturbed(t - DECIDED, t)) return;
    let peak = 0;
    for (const demand of state.at.values()) peak += demand.most(t);
    // The newer ones alone are to be enough.
    const newer = before.length - state.old.size;
    // Another instance of a key waits until the old one is gone.
    const allowed = state.maxLately + (state.old.size > 0 && !route.includes('~') ? 1 : 0);
    if (state.alive.size > allowed) this.#say(`${route} has ${state.alive.size} instances, ${allowed} are allowed`, [...before, line]);
    else if (peak === 0) this.#say(`an instance of ${route} is started, and nobody asks for anything`, [...before, line]);
    else if (newer * Math.min(state.leastLimit, state.concurrency) >= peak)
      this.#say(`an instance of ${route} is started for ${peak} clients, which ${newer} instances can take`, [...before, line]);
  }

  #look(route: string, state: RouteState, now: number): void {
    let slots = 0;
    let starting = false;
    for (const { limit, up } of state.alive.values()) {
      slots += limit;
      starting ||= !up;
    }
    const isShort = state.outstanding.size > slots && state.alive.size < state.maxInstances && !starting;
    if (!isShort) {
      state.shortSince = null;
      state.said = false;
      return;
    }
    state.shortSince ??= now;
    const since = state.shortSince;
    const forMicros = now - since - this.#disturbances.stalled(since, now);
    if (forMicros <= STARTED || state.said || this.#disturbances.disturbed(since - DECIDED, now)) return;
    state.said = true;
    const text = `${state.outstanding.size} clients of ${route} have ${slots} slots for ${Math.round(forMicros / MS)} ms, and no instance is started`;
    this.#say(text, [...state.alive.values()].map(({ line }) => line).concat([...state.outstanding.values()].slice(0, 3)));
  }

  #say(text: string, lines: readonly Line[]): void {
    this.#report({ rule: 'starts', text, lines });
  }
}
