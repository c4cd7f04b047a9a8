import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';
import type { Prepared, Reloadable } from './reloadable.ts';

const AGAIN_MS = 1_000;

type Routes = ReadonlyMap<string, RouteRecord>;
/** `delete`: unless the route has other settings by now than these. */
type Change = { readonly set: RouteRecord } | { readonly delete: RouteRecord };
type RouteCluster = Pick<Cluster, 'setRoute' | 'snapshot'>;

/**
 * Sets the configuration file's routes for the whole cluster, as soon as the directory answers, and those that a later file changes. With
 * `once`, the routes of the first file are only asserted: the directory takes those that it has never had.
 */
export class FileRoutes implements Reloadable<{ readonly routes: Routes }> {
  /** The routes of the file that counts now: what nodes set again where it is lost. */
  readonly asserted: Map<string, RouteRecord>;
  readonly #log: Log;
  readonly #left: Map<string, Change>;
  readonly #stopping = new AbortController();
  #cluster: RouteCluster | null = null;
  #setting: Promise<void> | null = null;

  constructor(routes: Routes, { once }: { readonly once: boolean }, log: Log) {
    this.#log = log;
    this.asserted = new Map(routes);
    this.#left = new Map(once ? [] : [...routes].map(([name, set]) => [name, { set }]));
  }

  /** Resolves when all are set, or when it was stopped. */
  setIn(cluster: RouteCluster): Promise<void> {
    this.#cluster = cluster;
    this.#setting ??= this.#setAll(cluster).finally(() => {
      this.#setting = null;
    });
    return this.#setting;
  }

  /** Gives up what could not be set. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#setting;
  }

  /** Only what differs between the two files is set, so that what operators changed meanwhile stays. */
  prepare({ routes }: { readonly routes: Routes }): Prepared {
    const set = [...routes].filter(([name, record]) => !isSame(this.asserted.get(name), record));
    const gone = [...this.asserted].filter(([name]) => !routes.has(name));
    const isChanged = set.length + gone.length > 0;
    return {
      outcomes: new Map([['routes', isChanged ? 'changed' : 'unchanged']]),
      apply: () => {
        this.asserted.clear();
        for (const [name, record] of routes) this.asserted.set(name, record);
        for (const [name, record] of set) this.#left.set(name, { set: record });
        for (const [name, record] of gone) this.#left.set(name, { delete: record });
        if (this.#cluster !== null) unawaited('directory', this.setIn(this.#cluster));
      },
    };
  }

  async #setAll(cluster: RouteCluster): Promise<void> {
    let complained = false;
    while (this.#left.size > 0 && !this.#stopping.signal.aborted) {
      try {
        for (const [name, change] of this.#left) {
          await this.#perform(cluster, name, change);
          // The file may have changed meanwhile.
          if (this.#left.get(name) === change) this.#left.delete(name);
        }
      } catch (error) {
        if (!complained) this.#log.warn({ err: error }, "the routes of the configuration file can't be set yet");
        complained = true;
        await delay(AGAIN_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
  }

  async #perform(cluster: RouteCluster, name: string, change: Change): Promise<void> {
    if ('set' in change) return cluster.setRoute(name, canonicalRouteRecord(change.set));
    const settings = (await cluster.snapshot()).routes.find((route) => route.name === name)?.settings ?? null;
    if (settings === null) return;
    if (isSame(settings, change.delete)) return cluster.setRoute(name, null);
    this.#log.info({ route: name }, 'a route is in the configuration file no longer, and stays: its settings were changed elsewhere');
  }
}

function isSame(a: RouteRecord | undefined, b: RouteRecord): boolean {
  return a !== undefined && JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(record: RouteRecord): [string, unknown][] {
  return Object.entries(canonicalRouteRecord(record)).sort(([x], [y]) => (x < y ? -1 : 1));
}
