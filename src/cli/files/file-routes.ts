import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../../boundary.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { watchedRouteFiles } from '../../config/route-files.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';
import { followFiles } from './follow-files.ts';
import { inTurns } from './in-turns.ts';
import { hasChanged, type Prepared, type Reloadable } from './reloadable.ts';

const AGAIN_MS = 1_000;

type Routes = ReadonlyMap<string, RouteRecord>;
/** `delete`: unless the route has other settings by now than these. */
type Change = { readonly set: RouteRecord } | { readonly delete: RouteRecord };
type RouteCluster = Pick<Cluster, 'setRoute' | 'snapshot'>;

/**
 * Sets the routes of files for the whole cluster, as soon as the directory answers, and those that a later file changes. With
 * `once`, the first routes are only asserted: the directory takes those that it has never had.
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
        const now = await settingsNow(cluster, this.#left);
        for (const [name, change] of this.#left) {
          await this.#perform(cluster, name, change, now.get(name) ?? null);
          // The file may have changed meanwhile.
          if (this.#left.get(name) === change) this.#left.delete(name);
        }
      } catch (error) {
        if (!complained) this.#log.warn({ err: error }, "the routes of the files can't be set yet");
        complained = true;
        await delay(AGAIN_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
  }

  async #perform(cluster: RouteCluster, name: string, change: Change, settings: RouteRecord | null): Promise<void> {
    if ('set' in change) return cluster.setRoute(name, canonicalRouteRecord(change.set));
    if (settings === null) return;
    if (isSame(settings, change.delete)) return cluster.setRoute(name, null);
    this.#log.info({ route: name }, 'a route is in the files no longer, and stays: its settings were changed elsewhere');
  }
}

/** Looks at all routes at once, and only where one is to be deleted. */
async function settingsNow(cluster: RouteCluster, left: ReadonlyMap<string, Change>): Promise<ReadonlyMap<string, RouteRecord | null>> {
  if (![...left.values()].some((change) => 'delete' in change)) return new Map();
  return new Map((await cluster.snapshot()).routes.map(({ name, settings }) => [name, settings]));
}

/** Reads routes again when the files that they are in change. Files that can't be used change nothing until they change again. */
export function followRouteFiles(
  path: () => string | undefined,
  load: () => Promise<{ readonly routes: Routes } | null>,
  fileRoutes: FileRoutes,
  log: Log,
): void {
  const reread = inTurns(async () => {
    try {
      const next = await load();
      const prepared = next && fileRoutes.prepare(next);
      if (prepared === null || !hasChanged(prepared)) return;
      prepared.apply();
      log.info({ routes: fileRoutes.asserted.size }, 'the routes of the files are set anew');
    } catch (error) {
      log.error({ err: error }, 'the files with routes can not be used: nothing was changed');
    }
  });
  const paths = (): readonly string[] => {
    const at = path();
    return at === undefined ? [] : watchedRouteFiles(at);
  };
  followFiles(paths, () => unawaited('file', reread()));
}

function isSame(a: RouteRecord | undefined, b: RouteRecord): boolean {
  return a !== undefined && JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(record: RouteRecord): [string, unknown][] {
  return Object.entries(canonicalRouteRecord(record)).sort(([x], [y]) => (x < y ? -1 : 1));
}
