/**
 * Makes instances of what a source shows: a unit that runs has a linker in this process, with all rules of a linker. So it gets never more than
 * its concurrency, asks before it leaves, is drained, and is stopped last.
 */
import { guard, unawaited } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import { readVersion } from '../config/version.ts';
import type { NodeTls } from '../link/connect.ts';
import { askedLimit } from '../linker/asked-limit.ts';
import type { Changing } from '../linker/dial.ts';
import { Linker } from '../linker/linker.ts';
import { LINKER_TIMES } from '../linker/linker-options.ts';
import { affordableSlots, openFilesLimit } from '../linker/open-files.ts';
import type { Log } from '../log.ts';
import { BoundedMap } from '../memory/bounded-map.ts';
import { declaredRoutes } from './declared-routes.ts';
import { Problems } from './problems.ts';
import { type RouteDirectory, RouteKeeper } from './route-keeper.ts';
import type { Picture, Source, Unit } from './source.ts';
import { UnitApplication } from './unit-application.ts';

/** A start that takes longer is explained. */
const SLOW_START_MS = 5_000;
/** After its linker has ended a unit may run on: it could not be stopped, or something has started it again. */
const LOOK_AFTER_MS = 1_000;
const ROUTES_COUNTED_MAX = 1_000;

export interface DiscoveryOptions {
  readonly source: Source;
  readonly directory: RouteDirectory;
  /** Backend addresses of nodes. */
  readonly proxies: readonly HostPort[];
  readonly secret: (route: string) => string;
  readonly tls?: Changing<NodeTls> | undefined;
  readonly linkVersionMin?: number;
  readonly log: Log;
  readonly goneMs?: number;
}

interface Linked {
  readonly linker: Linker;
  readonly application: UnitApplication;
  /** It ran already. */
  readonly isAdopted: boolean;
  readonly over: Promise<void>;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #keeper: RouteKeeper;
  readonly #problems: Problems;
  readonly #stopping = new AbortController();
  readonly #linked = new Map<string, Linked>();
  /** Unit → when it failed last, by performance.now(). */
  readonly #failed = new Map<string, number>();
  readonly #results = new BoundedMap<string, { ok: number; failed: number }>(ROUTES_COUNTED_MAX);
  #picture: Picture = { source: '', units: [], problems: [] };
  #isAway = false;
  #following: Promise<void> = Promise.resolve();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { directory, log, goneMs } = options;
    this.#problems = new Problems(log);
    const problems = this.#problems.of('directory');
    this.#keeper = new RouteKeeper({ directory, log, problems, ...(goneMs === undefined ? {} : { goneMs }) });
  }

  begin(): void {
    const events = {
      seen: (picture: Picture): void => this.#seen(picture),
      away: (reason: string): void => this.#away(reason),
    };
    this.#following = this.#options.source.follow(events, this.#stopping.signal);
    unawaited('discovery', this.#following);
  }

  /** What routes that it declares have as their `source`; empty until the source has answered. */
  get source(): string {
    return this.#picture.source;
  }

  /** Whether there is a unit of the route. */
  has(route: string): boolean {
    return this.#picture.units.some(({ declared }) => declared.route === route);
  }

  /** Starts one instance; resolves when it serves, rejects with words for people. */
  async start(startId: string, route: string): Promise<void> {
    const result = this.#results.get(route) ?? { ok: 0, failed: 0 };
    this.#results.set(route, result);
    try {
      await this.#start(startId, route);
      result.ok++;
    } catch (error) {
      result.failed++;
      throw error;
    }
  }

  /** Starts by route and result. */
  get results(): ReadonlyMap<string, Readonly<Record<string, number>>> {
    return new Map(this.#results.entries());
  }

  /** Serves running requests to their end. What runs at the source runs on: the next process takes it up. */
  async close(): Promise<void> {
    this.#stopping.abort();
    this.#problems.close();
    for (const { application, linker } of this.#linked.values()) {
      application.leaveRunning();
      linker.drain();
    }
    await Promise.all([...this.#linked.values()].map(({ over }) => over));
    await this.#keeper.close();
    await this.#following;
  }

  async #start(startId: string, route: string): Promise<void> {
    for (;;) {
      this.#adopt();
      const all = this.#picture.units.filter(({ declared }) => declared.route === route);
      const free = all.filter(({ id, run }) => run === null && !this.#linked.has(id));
      const [unit] = free.toSorted((a, b) => this.#failedAt(a) - this.#failedAt(b) || b.createdAt - a.createdAt);
      if (unit !== undefined) return this.#startUnit(unit, startId);
      if (all.length === 0) throw new Error(`${route} has no container`);
      const linked = all.flatMap(({ id }) => this.#linked.get(id) ?? []);
      const stateOf = ({ linker }: Linked): string => linker.control.picture.state;
      // Somebody else has started it a moment ago.
      const adopted = linked.find((one) => one.isAdopted && stateOf(one) === 'starting');
      if (adopted !== undefined) return adopted.linker.ready;
      // It is about to be stopped: then it is started again.
      const leaving = linked.filter((one) => stateOf(one) === 'draining');
      if (leaving.length === 0) throw new Error(`every container of ${route} runs already: ${all.map(({ said }) => said).join(', ')}`);
      await Promise.race(leaving.map(({ over }) => over));
    }
  }

  async #startUnit(unit: Unit, startId: string): Promise<void> {
    const { linker } = this.#link(unit, startId);
    try {
      await linker.ready;
      this.#failed.delete(unit.id);
    } catch (error) {
      this.#failed.set(unit.id, performance.now());
      throw error;
    }
  }

  #failedAt({ id }: Unit): number {
    return this.#failed.get(id) ?? 0;
  }

  #seen(picture: Picture): void {
    if (this.#stopping.signal.aborted) return;
    const { log } = this.#options;
    if (this.#isAway) log.info({ source: picture.source }, 'the source of routes answers again');
    this.#isAway = false;
    this.#picture = picture;
    const ids = new Set(picture.units.map(({ id }) => id));
    for (const id of this.#failed.keys()) if (!ids.has(id)) this.#failed.delete(id);
    const { routes, problems } = declaredRoutes(picture.units, picture.source);
    this.#problems.of('labels')([...picture.problems, ...problems]);
    this.#keeper.declare(picture.source, routes);
    this.#adopt();
  }

  #away(reason: string): void {
    this.#isAway = true;
    this.#options.log.warn({ reason }, 'the source of routes does not answer: what runs is served, and nothing can be started or stopped');
  }

  /** What runs without a linker gets one: somebody has started it, or an earlier process. */
  #adopt(): void {
    if (this.#stopping.signal.aborted) return;
    for (const unit of this.#picture.units) {
      if (unit.run === null || this.#linked.has(unit.id)) continue;
      this.#options.log.info({ route: unit.declared.route, unit: unit.said }, 'a unit that runs is taken up as an instance');
      this.#link(unit, undefined);
    }
  }

  #link(unit: Unit, startId: string | undefined): Linked {
    const { proxies, secret, tls, linkVersionMin } = this.#options;
    const { route, instance } = unit.declared;
    const { proxyProtocol, readyPath, concurrency, concurrencyMax, port: _, network: __, ...said } = instance;
    const times = { ...LINKER_TIMES, ...said };
    const log = this.#options.log.child(startId === undefined ? {} : { startId });
    // The 'ready' of a linker would be one too many: this process logs its own.
    log.level = this.#options.log.isLevelEnabled('debug') ? this.#options.log.level : 'warn';
    let application: UnitApplication | null = null;
    const limit = openFilesLimit();
    const linker = new Linker({
      ...times,
      ...askedLimit(concurrency, concurrencyMax, (slots) => affordableSlots(slots, limit)),
      proxies,
      route,
      secret: () => secret(route),
      env: {},
      version: readVersion(),
      log,
      proxyProtocol,
      readyPath,
      application: (events) => {
        application = new UnitApplication(unit, times, events, log);
        return application;
      },
      ...(startId === undefined ? {} : { startId }),
      ...(tls === undefined ? {} : { tls }),
      ...(linkVersionMin === undefined ? {} : { linkVersionMin }),
    });
    if (application === null) throw new Error('the linker has made no application');
    const over = linker.run().then((code) => this.#over(unit, linker, code));
    const linked = { linker, application, over, isAdopted: startId === undefined };
    this.#linked.set(unit.id, linked);
    unawaited('application', over);
    unawaited('application', this.#explain(unit, linker));
    return linked;
  }

  async #explain(unit: Unit, linker: Linker): Promise<void> {
    const { log } = this.#options;
    const { route } = unit.declared;
    const say = guard('timer', () => {
      const reason = linker.startingWords;
      if (reason !== null) log.warn({ route, reason }, 'a discovered application is not ready yet');
    });
    const slow = setTimeout(say, SLOW_START_MS);
    await linker.ready.then(
      () => log.info({ route, instance: linker.instance, unit: unit.said }, 'instance serves'),
      () => {},
    );
    clearTimeout(slow);
  }

  #over(unit: Unit, linker: Linker, code: number): void {
    this.#linked.delete(unit.id);
    const { log } = this.#options;
    const { route } = unit.declared;
    if (linker.failure !== null) log.warn({ route, reason: linker.failure }, 'a discovered application has failed');
    log.info({ route, instance: linker.instance, unit: unit.said, code }, 'instance has left');
    const look = guard('timer', () => this.#adopt());
    setTimeout(look, LOOK_AFTER_MS).unref();
  }
}
